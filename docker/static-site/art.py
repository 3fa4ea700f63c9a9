"""Draws the site's font and its icon: `pip install fonttools brotli && python3 art.py`.

Both are in site/ already; this is where they come from. The letters are five squares wide
and seven high.
"""

import struct
import zlib

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

LETTERS = {
    "A": "01110 10001 10001 11111 10001 10001 10001", "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01111 10000 10000 10000 10000 10000 01111", "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111", "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01111 10000 10000 10011 10001 10001 01111", "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "111 010 010 010 010 010 111", "J": "00001 00001 00001 00001 00001 10001 01110",
    "K": "10001 10010 10100 11000 10100 10010 10001", "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001", "N": "10001 11001 11001 10101 10011 10011 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110", "P": "11110 10001 10001 11110 10000 10000 10000",
    "Q": "01110 10001 10001 10001 10101 10010 01101", "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110", "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110", "V": "10001 10001 10001 10001 10001 01010 00100",
    "W": "10001 10001 10001 10101 10101 11011 10001", "X": "10001 10001 01010 00100 01010 10001 10001",
    "Y": "10001 10001 01010 00100 00100 00100 00100", "Z": "11111 00001 00010 00100 01000 10000 11111",
    "0": "01110 10001 10011 10101 11001 10001 01110", "1": "010 110 010 010 010 010 111",
    "2": "01110 10001 00001 00110 01000 10000 11111", "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010", "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "01110 10000 10000 11110 10001 10001 01110", "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110", "9": "01110 10001 10001 01111 00001 00001 01110",
    ".": "0 0 0 0 0 0 1", ":": "0 0 1 0 0 1 0", "-": "000 000 000 111 000 000 000",
}
SQUARE = 100


def outline(rows):
    """The squares of one letter, each run of them in a row as one rectangle."""
    pen = TTGlyphPen(None)
    for line, row in enumerate(rows):
        bottom, start = (len(rows) - 1 - line) * SQUARE, None
        for column, square in enumerate(row + "0"):
            if square == "1" and start is None:
                start = column
            elif square == "0" and start is not None:
                left, right = start * SQUARE, column * SQUARE
                pen.moveTo((left, bottom))
                pen.lineTo((left, bottom + SQUARE))
                pen.lineTo((right, bottom + SQUARE))
                pen.lineTo((right, bottom))
                pen.closePath()
                start = None
    return pen.glyph()


def font(path):
    """All letters; small ones look as large ones do."""
    glyphs = {".notdef": TTGlyphPen(None).glyph(), "space": TTGlyphPen(None).glyph()}
    widths, names = {".notdef": (300, 0), "space": (400, 0)}, {32: "space"}
    for letter, drawing in LETTERS.items():
        rows, name = drawing.split(), "u{:04X}".format(ord(letter))
        glyphs[name] = outline(rows)
        widths[name] = ((len(rows[0]) + 1) * SQUARE, 0)
        names[ord(letter)] = names[ord(letter.lower())] = name
    build = FontBuilder(1000, isTTF=True)
    build.setupGlyphOrder(list(glyphs))
    build.setupCharacterMap(names)
    build.setupGlyf(glyphs)
    build.setupHorizontalMetrics(widths)
    build.setupHorizontalHeader(ascent=800, descent=-200)
    build.setupNameTable({"familyName": "Beacon", "styleName": "Regular"})
    build.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    build.setupPost()
    build.font.flavor = "woff2"
    build.save(path)


def icon(path, size=180):
    """A light over water, as a PNG without any library."""
    rows = b""
    for y in range(size):
        row = bytearray([0])
        for x in range(size):
            u, v = x / size - 0.5, y / size - 0.36
            glow = max(0.0, 1 - (u * u + v * v) ** 0.5 / 0.55)
            light = u * u + v * v < 0.012
            sea = y / size > 0.7 + 0.025 * ((x // 15) % 2)
            tower = abs(u) < 0.07 + 0.05 * (v + 0.1) and 0.1 < v < 0.34
            if light:
                colour = (255, 214, 92)
            elif sea:
                colour = (18, 108, 120)
            elif tower:
                colour = (244, 240, 230)
            else:
                colour = (int(16 + 110 * glow), int(36 + 80 * glow), int(64 + 40 * glow))
            row += bytes(colour)
        rows += bytes(row)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as png:
        head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
        png.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


font("site/fonts/beacon.woff2")
icon("site/img/icon.png")
