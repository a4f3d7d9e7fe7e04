#!/bin/sh
# Stylize the sample photo and the sample clip with one style: `make demo` runs this.
# BIN is the folder with the environment's programs, STYLE a shipped style's name or an .onnx file.
set -eu

BIN=${BIN:-.venv/bin}
STYLE=${STYLE:-starry_night}
HERE=$(dirname "$0")
NAME=$(basename "$STYLE" .onnx)
PHOTO=demo-output/astronaut_$NAME.jpg
CLIP=demo-output/clip_$NAME.mp4

mkdir -p demo-output
echo "stylizing examples/astronaut.jpg and examples/clip.mp4 with $STYLE"
"$BIN/styletransfer" stylize "$HERE/astronaut.jpg" --model "$STYLE" --output "$PHOTO" >/dev/null
SAID=$("$BIN/styletransfer" video "$HERE/clip.mp4" --model "$STYLE" --output "$CLIP")
# The last line says how many frames, at how many a second, on which provider.
FRAMES=$(printf '%s\n' "$SAID" | tail -n 1)

cat <<END

------------------------------------------------------------------------
The results lie in $(pwd)/demo-output
  photo  $PHOTO
  clip   $CLIP, with its sound
  speed  ${FRAMES#"$CLIP: "} (640x360, decoding and encoding included)
Next
  $BIN/styletransfer models                   the other styles
  $BIN/styletransfer stylize YOUR.jpg         your own photo
  $BIN/styletransfer webcam                   live
------------------------------------------------------------------------
END
