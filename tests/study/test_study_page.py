"""The page in a real browser."""

import shutil

import pytest

from styletransfer.study.server import serving
from styletransfer.study.votes import catch_path, read_votes

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: it drives the browser")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in FLAGS:
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


class Page:
    """What an observer can do and see."""

    def __init__(self, browser, address):
        self.browser = browser
        self.resize(1000, 700)
        browser.get(address)

    def resize(self, width, height, dpr=1):
        metrics = {"width": width, "height": height, "deviceScaleFactor": dpr, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def wait(self, condition):
        return WebDriverWait(self.browser, 20, poll_frequency=0.03).until(lambda _: condition())

    def find(self, name):
        return self.browser.find_element(By.ID, name)

    def start(self, observer=""):
        self.find("observer").send_keys(observer + Keys.ENTER)

    def ready(self):
        self.wait(lambda: self.browser.execute_script("return isReady"))
        return self.browser.execute_script("return pictures.id")

    def press(self, key):
        before = self.ready()
        self.browser.find_element(By.TAG_NAME, "body").send_keys(key)
        self.wait(lambda: self.browser.execute_script("return state.trial?.id") != before)

    def scales(self):
        """Screen pixels for each picture pixel, along both sides, of the three pictures."""
        return self.browser.execute_script(
            "return ['left', 'reference', 'right'].map((id) => {"
            " const image = document.querySelector(`#${id} img`), box = image.getBoundingClientRect();"
            " return [box.width * devicePixelRatio / image.naturalWidth,"
            "         box.height * devicePixelRatio / image.naturalHeight]; }).flat()"
        )


def test_an_observer_goes_through_the_whole_study_with_keys_and_mouse(browser, make_experiment, votes_file):
    with serving(make_experiment(question="Which one is nicer?", break_every=3, per_observer=4)) as address:
        page = Page(browser, address)
        page.start("anna")
        page.ready()
        assert page.find("question").text == "Which one is nicer?"
        assert page.find("count").text == "1 of 5"
        page.press(Keys.ARROW_LEFT)
        page.press(Keys.ARROW_RIGHT)
        page.ready()
        page.find("right").click()
        page.wait(page.find("pause").is_displayed)
        assert "3 of 5" in page.find("paused").text
        assert not page.find("stage").is_displayed()
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        page.press(Keys.ARROW_LEFT)
        page.press(Keys.ARROW_UP)
        page.wait(page.find("finish").is_displayed)
        assert "anna" in page.find("finished").text
    votes, catches = read_votes(votes_file)[0], read_votes(catch_path(votes_file))[0]
    assert (len(votes), len(catches)) == (4, 1)
    assert sum(vote.is_a_selected for vote in votes + catches) == 3
    assert not browser.get_log("browser")  # no error, nothing refused by the policy


def test_what_is_on_the_left_is_what_is_voted_for(browser, make_experiment, votes_file):
    mean = (
        "const c = document.createElement('canvas'); c.width = 40; c.height = 30; const g = c.getContext('2d');"
        "g.drawImage(document.querySelector('#left img'), 0, 0); const left = g.getImageData(0, 0, 40, 30).data;"
        "g.drawImage(document.querySelector('#right img'), 0, 0); const right = g.getImageData(0, 0, 40, 30).data;"
        "return left.reduce((a, b) => a + b) > right.reduce((a, b) => a + b);"
    )
    with serving(make_experiment(catch_share=0, per_observer=3)) as address:
        page = Page(browser, address)
        page.start()
        for _ in range(3):
            page.ready()
            page.press(Keys.ARROW_LEFT if browser.execute_script(mean) else Keys.ARROW_RIGHT)
    votes = read_votes(votes_file)[0]
    assert len(votes) == 3
    assert all(vote.is_a_selected == (vote.condition_a < vote.condition_b) for vote in votes)  # alpha is the brightest


def test_a_key_held_down_and_a_double_click_are_one_vote(browser, make_experiment, votes_file):
    with serving(make_experiment()) as address:
        page = Page(browser, address)
        page.start()
        page.ready()
        browser.execute_script(
            "for (const repeat of [false, true, true])"
            " document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', repeat, bubbles: true}));"
            "document.getElementById('right').click(); document.getElementById('right').click();"
        )
        page.wait(lambda: page.find("count").text == "2 of 7")
        page.ready()
        assert len(read_votes(votes_file)[0]) == 1


def test_every_picture_pixel_is_a_whole_number_of_screen_pixels_or_it_is_said(browser, make_experiment):
    with serving(make_experiment()) as address:
        page = Page(browser, address)
        page.start()
        page.ready()
        for window, dpr, layout, scale in (
            ((1000, 700), 1, "row", 1),
            ((1000, 700), 2, "row", 2),
            ((1001, 700), 1.5, "row", 2),
            ((390, 844), 3, "row", 3),
            ((160, 500), 2, "above", 2),
            ((120, 500), 2, "stack", 2),
        ):
            page.resize(*window, dpr)
            page.wait(lambda layout=layout: layout in page.find("stage").get_attribute("class"))
            page.wait(lambda scale=scale: [round(value, 2) for value in page.scales()] == [scale] * 6)
            assert "pixel" in page.find("note").text
            assert "%" not in page.find("note").text
        page.resize(1000, 700)
        browser.execute_script("pictures.size_wh = [4000, 3000]; arrange()")
        boxes = browser.execute_script(
            "return [...document.querySelectorAll('#stage img')].map((i) => i.getBoundingClientRect().toJSON())"
        )
        assert all(box["left"] >= 0 and box["right"] <= 1000 and box["bottom"] <= 700 for box in boxes)
        assert all(abs(box["width"] / box["height"] - 4 / 3) < 0.01 for box in boxes)
        assert "% of their size" in page.find("note").text


def test_a_server_that_is_gone_loses_no_vote_and_the_page_goes_on(browser, make_experiment, votes_file):
    experiment = make_experiment()
    with serving(experiment) as address:
        page = Page(browser, address)
        page.start("anna")
        page.press(Keys.ARROW_LEFT)
        page.ready()
        port = int(address.rstrip("/").rpartition(":")[2])
    page.browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)
    page.wait(page.find("trouble").is_displayed)
    assert "does not answer" in page.find("reason").text
    with serving(make_experiment(), port=port):
        page.find("retry").click()
        page.wait(lambda: page.find("count").text == "3 of 7")
        page.press(Keys.ARROW_LEFT)
    assert len(read_votes(votes_file)[0]) == 3
    browser.get_log("browser")  # the failed request is in it


def test_a_name_that_is_refused_can_be_mended(browser, make_experiment):
    with serving(make_experiment()) as address:
        page = Page(browser, address)
        page.start("=1+1")
        page.wait(page.find("refused").is_displayed)
        assert "letters, digits" in page.find("refused").text
        page.find("observer").clear()
        page.start("anna")
        page.ready()
    browser.get_log("browser")
