"""Which picture is closer to the reference? The experiment in the browser, and the scale made of its votes."""
