"""The database: where it is, and what it is asked.

All configuration comes from the environment; minisup puts DATABASE_PASSWORD there, from the file that
DATABASE_PASSWORD_FILE names.
"""

import os

import pymysql
import pymysql.cursors

# A row that is still true ends here.
FOREVER = "9999-01-01"

DEPARTMENTS = """
    SELECT d.dept_no, d.dept_name, COUNT(*) AS headcount, ROUND(AVG(s.salary)) AS average_salary
    FROM departments d
    JOIN dept_emp e ON e.dept_no = d.dept_no AND e.to_date = %s
    JOIN salaries s ON s.emp_no = e.emp_no AND s.to_date = %s
    GROUP BY d.dept_no, d.dept_name
    ORDER BY d.dept_name"""

# Of employees with this in their name, in this department: all if empty.
FOUND = """
    FROM employees p
    JOIN dept_emp e ON e.emp_no = p.emp_no AND e.to_date = %s
    JOIN departments d ON d.dept_no = e.dept_no
    WHERE CONCAT(p.first_name, ' ', p.last_name) LIKE %s AND (%s = '' OR d.dept_no = %s)"""

PEOPLE = """
    SELECT p.emp_no, p.first_name, p.last_name, p.hire_date, d.dept_name""" + FOUND + """
    ORDER BY p.last_name, p.first_name, p.emp_no LIMIT %s OFFSET %s"""

PERSON = """
    SELECT p.emp_no, p.first_name, p.last_name, p.gender, p.birth_date, p.hire_date, d.dept_name
    FROM employees p
    LEFT JOIN dept_emp e ON e.emp_no = p.emp_no AND e.to_date = %s
    LEFT JOIN departments d ON d.dept_no = e.dept_no
    WHERE p.emp_no = %s"""

TITLES = "SELECT title, from_date, to_date FROM titles WHERE emp_no = %s ORDER BY from_date"
SALARIES = "SELECT salary, from_date, to_date FROM salaries WHERE emp_no = %s ORDER BY from_date"


class Database:
    """One connection, for one request: a database that was away is found again by the next."""

    def __init__(self):
        self.connection = pymysql.connect(
            host=os.environ.get("DATABASE_HOST", "127.0.0.1"),
            port=int(os.environ.get("DATABASE_PORT", "3306")),
            user=os.environ.get("DATABASE_USER", "employees"),
            password=os.environ.get("DATABASE_PASSWORD", ""),
            db=os.environ.get("DATABASE_NAME", "employees"),
            charset="utf8mb4",
            connect_timeout=3,
            cursorclass=pymysql.cursors.DictCursor,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def rows(self, query, *values):
        """All rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()

    def departments(self):
        """Each with its headcount and average salary of today."""
        return self.rows(DEPARTMENTS, FOREVER, FOREVER)

    def people(self, name, department, page, size):
        """How many there are, and one page of them."""
        # What is typed is a part of a name, whatever LIKE thinks of it.
        for special in "\\%_":
            name = name.replace(special, "\\" + special)
        values = (FOREVER, "%" + name + "%", department, department)
        count = self.rows("SELECT COUNT(*) AS count" + FOUND, *values)[0]["count"]
        return count, self.rows(PEOPLE, *(values + (size, (page - 1) * size)))

    def person(self, number):
        """One employee with titles and salaries, or None."""
        found = self.rows(PERSON, FOREVER, number)
        if not found:
            return None
        return dict(found[0], titles=self.rows(TITLES, number), salaries=self.rows(SALARIES, number))
