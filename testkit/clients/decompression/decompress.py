"""Messages of a compressed stream on standard input, what discord.py reads from them on standard output.

    decompress.py zlib-stream|zstd-stream

Each message and each text has its length before it, in four little-endian bytes. Every message is whole, so a text that
discord.py does not give out at once is an error.
"""

import struct
import sys

if sys.argv[1] == "zlib-stream":
    # discord.py asks for this stream only where it finds no zstd.
    for module in ("zstandard", "compression.zstd"):
        sys.modules[module] = None

from discord import utils

context = utils._ActiveDecompressionContext()
assert context.COMPRESSION_TYPE == sys.argv[1], context.COMPRESSION_TYPE

while length := sys.stdin.buffer.read(4):
    message = sys.stdin.buffer.read(struct.unpack("<I", length)[0])
    text = context.decompress(message).encode()
    sys.stdout.buffer.write(struct.pack("<I", len(text)) + text)
