"""Makes up the rows of the employees sample: the same for everybody who asks for as many.

    generate.py EMPLOYEES DIRECTORY

writes the load_*.dump that employees.sql reads. For each employee so many titles, departments and salaries as the
original has in the mean; some names have quotes, some are not ASCII.
"""

import io
import os
import random
import sys
from datetime import date, timedelta

DEPARTMENTS = [
    "Marketing", "Finance", "Human Resources", "Production", "Development",
    "Quality Management", "Sales", "Research", "Customer Service",
]
FIRST_NAMES = {
    "F": ["Ada", "Berta", "Chloé", "Dunja", "Edith", "Frida", "Greta", "Hanna", "Ingrid", "Joana", "Klara", "Leïla",
          "Mira", "Nadia", "Olga", "Priya", "Quynh", "Rosa", "Selma", "Tamar", "Ulla", "Vera", "Wanda", "Zoë"],
    "M": ["Anton", "Björn", "Carlos", "Dmitri", "Emil", "Farid", "Gustav", "Hiro", "Ivan", "José", "Karim", "Leo",
          "Mats", "Noam", "Oskar", "Piotr", "Raj", "Sven", "Tariq", "Umar", "Viktor", "Wim", "Yusuf", "Zeno"],
}
LAST_NAMES = [
    "Abadi", "Bergström", "Castillo", "D'Angelo", "Eriksen", "Fontaine", "García", "Haddad", "Ishikawa", "Jovanović",
    "Kowalski", "Łukasik", "Moreau", "Nakamura", "O'Connor", "Petrov", "Quintero", "Rahman", "Schmidt", "Tanaka",
    "Ueda", "Vasquez", "Weber", "Xu", "Yilmaz", "Zimmermann",
]
TITLES = ["Assistant Engineer", "Engineer", "Senior Engineer", "Staff", "Senior Staff", "Technique Leader", "Manager"]
FOREVER = "9999-01-01"
LATEST = date(2002, 8, 1)

# Only random() itself promises the same numbers in every version of Python.
chance = random.Random(1).random


def upto(limit):
    return int(chance() * limit)


def quoted(value):
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "\\'") + "'"


def write(directory, file, table, rows):
    """INSERTs of a thousand rows, as dumps have them."""
    with io.open(os.path.join(directory, "load_{}.dump".format(file)), "w", encoding="utf-8") as out:
        for start in range(0, len(rows), 1000):
            lines = ["(" + ",".join(map(quoted, row)) + ")" for row in rows[start:start + 1000]]
            out.write(u"INSERT INTO `{}` VALUES\n{};\n".format(table, ",\n".join(lines)))
    print("{}: {} rows".format(table, len(rows)))


def periods(begin, count, least, most):
    """So many, one after the other; the last is still true."""
    for number in range(count):
        end = begin + timedelta(least + upto(most - least))
        if number + 1 == count or end >= LATEST:
            yield begin, FOREVER
            return
        yield begin, end
        begin = end


def main(count, directory):
    people, places, titles, salaries = [], [], [], []
    for number in range(10001, 10001 + count):
        gender = "M" if chance() < 0.6 else "F"
        hired = date(1985, 1, 1) + timedelta(upto(5400))
        born = date(1952, 2, 1) + timedelta(upto(4750))
        first, last = FIRST_NAMES[gender][upto(24)], LAST_NAMES[upto(len(LAST_NAMES))]
        people.append((number, born, first, last, gender, hired))

        department = upto(len(DEPARTMENTS))
        for begin, end in periods(hired, 2 if chance() < 0.1 else 1, 400, 3000):
            places.append((number, "d{:03}".format(department + 1), begin, end))
            department = (department + 4) % len(DEPARTMENTS)
        rank = upto(5)
        for begin, end in periods(hired, 2 if chance() < 0.48 else 1, 700, 2700):
            titles.append((number, TITLES[rank], begin, end))
            rank += 1
        salary = 38000 + upto(40000)
        for begin, end in periods(hired, 1 + upto(18), 365, 366):
            salaries.append((number, salary, begin, end))
            salary += upto(5200) - 600

    # Whoever is there longest leads the department.
    managers = []
    for department in ["d{:03}".format(number + 1) for number in range(len(DEPARTMENTS))]:
        now = [place for place in places if place[1] == department and place[3] == FOREVER]
        managers += [(place[0], department, place[2], FOREVER) for place in sorted(now, key=lambda place: place[2])[:1]]

    names = [("d{:03}".format(number + 1), name) for number, name in enumerate(DEPARTMENTS)]
    write(directory, "departments", "departments", names)
    write(directory, "employees", "employees", people)
    write(directory, "dept_emp", "dept_emp", places)
    write(directory, "dept_manager", "dept_manager", managers)
    write(directory, "titles", "titles", titles)
    third = -(-len(salaries) // 3)
    for part in range(3):
        write(directory, "salaries{}".format(part + 1), "salaries", salaries[part * third:(part + 1) * third])


main(int(sys.argv[1]), sys.argv[2])
