"""Invents Port Minnow: its streets, its map, and the food trucks along them.

`python3 generate.py` writes app/trucks.json and app/static/map.svg, the same ones each time.
Nothing of it exists, and nothing was copied.
"""

import json
import math
import random

WIDTH, HEIGHT = 600, 400
SCALE = 10000.0  # the map's units in a degree

STREETS = {
    "Quay Road": [(40, 322), (180, 300), (330, 318), (470, 300), (575, 312)],
    "Ropewalk": [(60, 250), (210, 236), (360, 246), (560, 226)],
    "Lantern Street": [(50, 176), (200, 170), (380, 182), (570, 156)],
    "Upper Terrace": [(80, 96), (240, 104), (410, 92), (560, 88)],
    "Hill Lane": [(110, 40), (112, 150), (104, 300)],
    "Station Road": [(214, 30), (220, 180), (212, 296)],
    "Market Street": [(318, 36), (330, 180), (326, 316)],
    "Mill Street": [(436, 40), (428, 170), (440, 302)],
    "East Gate": [(536, 50), (540, 180), (530, 308)],
    "Canal Walk": [(150, 210), (270, 136), (420, 64)],
}
KINDS = {
    "tacos": ["fish taco", "bean taco", "charred corn", "green salsa", "pulled squash"],
    "noodles": ["cold noodles", "broth with egg", "pepper noodles", "dumplings", "sesame greens"],
    "curry": ["lentil curry", "pumpkin curry", "flat bread", "mango pickle", "rice bowl"],
    "burgers": ["smash burger", "mushroom burger", "onion rings", "twice-fried chips", "slaw"],
    "seafood": ["fried squid", "crab roll", "mussels in cider", "smoked mackerel", "seaweed crisps"],
    "bakery": ["cheese pie", "cardamom bun", "sausage roll", "rye sandwich", "apple turnover"],
    "sweets": ["waffle", "plum ice", "churros", "honey cake", "salted fudge"],
    "coffee": ["flat white", "cold brew", "cocoa", "ginger tea", "oat biscuit"],
}
FIRST = ("Rusty Brave Little Noisy Golden Patient Salty Wandering Crooked Quiet Blue Lucky Hungry Second "
         "Northern Velvet Wooden Honest Late Spare").split()
SECOND = ("Anchor Pan Heron Kettle Spoon Lantern Barrow Gull Ladle Tiller Otter Skillet Compass Whisk Badger "
          "Bell Fork Harbour Griddle Pebble").split()
HOURS = ["07:00-11:00", "11:00-14:30", "11:30-15:00", "16:00-21:00", "17:30-23:00", "10:00-18:00"]


def along(street, share):
    """The point that lies at this share of a street's length."""
    pieces = list(zip(street, street[1:]))
    lengths = [math.dist(a, b) for a, b in pieces]
    left = share * sum(lengths)
    for (a, b), length in zip(pieces, lengths):
        if left <= length:
            return a[0] + (b[0] - a[0]) * left / length, a[1] + (b[1] - a[1]) * left / length
        left -= length
    return street[-1]


def trucks(count, chance):
    """That many, each with a name of its own."""
    names = [first + " " + second for first in FIRST for second in SECOND]
    chance.shuffle(names)
    for number, name in enumerate(names[:count], 1):
        street = chance.choice(sorted(STREETS))
        x, y = along(STREETS[street], chance.uniform(0.03, 0.97))
        x, y = x + chance.uniform(-7, 7), y + chance.uniform(-7, 7)
        kind = chance.choice(sorted(KINDS))
        yield {
            "id": number,
            "name": "The " + name,
            "kind": kind,
            "dishes": sorted(chance.sample(KINDS[kind], 3)),
            "street": "{} {}".format(chance.randrange(1, 120), street),
            "hours": chance.choice(HOURS),
            "location": {"lat": round((HEIGHT - y) / SCALE, 5), "lon": round(x / SCALE, 5)},
        }


def map_of():
    """The map alone, as SVG."""
    def line(points):
        return "M" + "L".join("{} {}".format(x, y) for x, y in points)

    streets = "".join('<path d="{}"/>'.format(line(points)) for points in STREETS.values())
    return """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}">
  <rect width="{w}" height="{h}" fill="#f3ecdd"/>
  <path d="M0 344c90-24 190-14 300-6s200-18 300-4v66H0z" fill="#bcdde0"/>
  <path d="M258 0c8 70 40 90 34 160s-24 90-6 190h26c-20-100 4-130 6-190S284 60 286 0z" fill="#bcdde0"/>
  <path d="M120 110h84v52h-84zM446 190h80v34h-80zM340 104l76-8v66h-76z" fill="#d3e4bd"/>
  <g fill="none" stroke="#dccfb4" stroke-width="15" stroke-linecap="round" stroke-linejoin="round">{streets}</g>
  <g fill="none" stroke="#fff" stroke-width="11" stroke-linecap="round" stroke-linejoin="round">{streets}</g>
  <g fill="#bcdde0"><path d="M500 326h22v40h-22zM120 330h16v34h-16z" fill="#cdb892"/></g>
  <g font-family="sans-serif" font-size="11" fill="#7b8f8f" font-style="italic"><text x="60" y="384">Minnow Bay</text><text x="462" y="384">Old Harbour</text></g>
</svg>
""".format(w=WIDTH, h=HEIGHT, streets=streets)


if __name__ == "__main__":
    found = [json.dumps(truck, sort_keys=True) for truck in trucks(320, random.Random(2441))]
    with open("app/trucks.json", "w") as file:
        file.write("[\n" + ",\n".join(found) + "\n]\n")
    with open("app/static/map.svg", "w") as file:
        file.write(map_of())
