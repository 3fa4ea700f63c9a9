/* The shape of test_db's `employees` at full scale, made up: the schema everybody knows, its
 * number of rows in each table, the same rows for everyone who runs this.
 *
 *     employees mysql|postgres DIRECTORY [DIVISOR]
 *
 * writes DIRECTORY/employees.sql and the load_*.dump that it includes (`source`, `\i`: relative, as there),
 * and says on stdout for each table: its name, its rows, and the sum over all rows of the first 32 bits of
 * MD5(CONCAT_WS('#', columns...)), which either database can compute for itself in any order of rows.
 * DIVISOR (1) makes everything so many times smaller.
 *
 * For MySQL the rows come as mysqldump wrote them there: long INSERTs, a row on each line. For PostgreSQL as
 * pg_dump writes them: COPY, and keys after the data. Some names have quotes, some are not ASCII. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EMPLOYEES = 300024, DEPARTMENTS = 9, MANAGERS = 24, DEPT_EMP = 331603, TITLES = 443308, SALARIES = 2844047 };
enum { FIRST_NUMBER = 10001, STATEMENT = 1 << 20, ROW = 256 };

/* ---- MD5 (RFC 1321) of a message that is shorter than two blocks ---- */

static const uint8_t turns[64] = {7, 12, 17, 22, 7, 12, 17, 22, 7, 12, 17, 22, 7, 12, 17, 22, 5, 9, 14, 20, 5, 9,
                                  14, 20, 5, 9, 14, 20, 5, 9, 14, 20, 4, 11, 16, 23, 4, 11, 16, 23, 4, 11, 16, 23,
                                  4, 11, 16, 23, 6, 10, 15, 21, 6, 10, 15, 21, 6, 10, 15, 21, 6, 10, 15, 21};
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static void block(uint32_t state[4], const uint8_t *data)
{
    uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];
    memcpy(words, data, 64);
    for (int i = 0; i < 64; i++) {
        uint32_t mix;
        int word;
        if (i < 16) { mix = (b & c) | (~b & d); word = i; }
        else if (i < 32) { mix = (d & b) | (~d & c); word = (5 * i + 1) % 16; }
        else if (i < 48) { mix = b ^ c ^ d; word = (3 * i + 5) % 16; }
        else { mix = c ^ (b | ~d); word = 7 * i % 16; }
        uint32_t sum = a + mix + sines[i] + words[word];
        a = d; d = c; c = b;
        b += sum << turns[i] | sum >> (32 - turns[i]);
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
}

/* The first eight digits of the sum as a number. */
static uint32_t md5_head(const char *text, size_t length)
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t padded[2 * ROW] = {0};
    size_t whole = (length + 8) / 64 * 64 + 64;
    uint64_t bits = length * 8;
    memcpy(padded, text, length);
    padded[length] = 0x80;
    memcpy(padded + whole - 8, &bits, 8);
    for (size_t at = 0; at < whole; at += 64) block(state, padded + at);
    return __builtin_bswap32(state[0]);
}

/* ---- made-up facts: a hash of who and what ---- */

static uint64_t fact(uint64_t who, uint64_t what)
{
    uint64_t x = who * 0x9e3779b97f4a7c15u + what * 0xd1b54a32d192ed03u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static const char *syllables[] = {"ba", "ri", "mo", "ten", "la", "shi", "gor", "ve", "ni", "kal", "du", "sa", "per", "o", "lin", "zu"};
static const char *ends[] = {"a", "o", "us", "ine", "ert", "is", "an", "el"};
static const char *families[] = {"O'Brann", "M\xc3\xbcller", "d'Arvi", "\xc5\x81ukas", "Nu\xc3\xb1o"};
static const char *departments[DEPARTMENTS] = {"Marketing", "Finance", "Human Resources", "Production", "Development",
                                               "Quality Management", "Sales", "Research", "Customer Service"};
static const char *ranks[] = {"Engineer", "Senior Engineer", "Staff", "Senior Staff", "Assistant Engineer", "Technique Leader", "Manager"};

static void name(char *into, uint64_t seed, int parts)
{
    char *begin = into;
    for (int part = 0; part < parts; part++, seed >>= 4) into = stpcpy(into, syllables[seed % 16]);
    stpcpy(into, ends[seed % 8]);
    *begin -= 'a' - 'A';
}

/* A day as text: the Gregorian calendar from a count of days since 0000-03-01. */
static void day_text(char *into, int day)
{
    int era = day / 146097, of_era = day % 146097;
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    int of_month = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    sprintf(into, "%04u-%02u-%02u", (unsigned)(year + era * 400 + (month <= 2)) % 10000, (unsigned)month % 100, (unsigned)of_month % 100);
}

enum { YEAR_1952 = 712861, YEAR_1985 = 724914 };

static int hired(int who) { return YEAR_1985 + (int)(fact(who, 1) % 5400); }

/* ---- writing ---- */

static int is_mysql, is_first, divisor;
static FILE *out;
static const char *directory, *table;
static size_t in_statement;
static uint64_t rows, sum;

static FILE *create(const char *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    FILE *made = fopen(path, "w");
    if (!made) { perror(path); exit(1); }
    setvbuf(made, NULL, _IOFBF, 1 << 20);
    return made;
}

static void finish(FILE *file)
{
    if (ferror(file) | fclose(file)) { perror("write"); exit(1); }
}

static void begin_file(const char *file, const char *of)
{
    out = create(file);
    table = of;
    is_first = 1;
    in_statement = 0;
    if (!is_mysql) fprintf(out, "COPY %s FROM stdin;\n", table);
}

static void end_file(void)
{
    fputs(is_mysql ? ";\n" : "\\.\n\n", out);
    finish(out);
}

/* A row: fields with '#' between them; `numbers` says which are not quoted. */
static void row(unsigned numbers, const char *format, ...)
{
    char text[ROW], line[2 * ROW], *to = line;
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    rows++;
    sum += md5_head(text, length);
    if (is_mysql) {
        if (in_statement > STATEMENT) { fputs(";\n", out); is_first = 1; in_statement = 0; }
        if (is_first) fprintf(out, "INSERT INTO `%s` VALUES ", table);
        else fputs(",\n", out);
        is_first = 0;
        *to++ = '(';
        const char *from = text;
        for (int field = 0;; field++) {
            int quoted = !(numbers >> field & 1);
            if (quoted) *to++ = '\'';
            for (; *from && *from != '#'; from++) {
                if (*from == '\'') *to++ = '\\';
                *to++ = *from;
            }
            if (quoted) *to++ = '\'';
            if (!*from++) break;
            *to++ = ',';
        }
        *to++ = ')';
    } else {
        for (const char *from = text; *from; from++) *to++ = *from == '#' ? '\t' : *from;
        *to++ = '\n';
    }
    in_statement += to - line;
    fwrite(line, 1, to - line, out);
}

/* So many of `total` fall on the i-th of `of`, evenly. */
static int share(int i, int total, int of) { return (int)((int64_t)(i + 1) * total / of - (int64_t)i * total / of); }

static void report(const char *name) { printf("%s %" PRIu64 " %" PRIu64 "\n", name, rows, sum); rows = sum = 0; }

static void write_schema(int parts)
{
    FILE *sql = create("employees.sql");
    const char *tables[] = {"departments", "employees", "dept_emp", "dept_manager", "titles"};
    const char *include = is_mysql ? "source" : "\\i";
    if (is_mysql)
        fputs("DROP DATABASE IF EXISTS employees;\nCREATE DATABASE IF NOT EXISTS employees CHARACTER SET utf8mb4;\n"
              "USE employees;\n\nSELECT 'CREATING DATABASE STRUCTURE' as 'INFO';\n\nset default_storage_engine = InnoDB;\n\n", sql);
    fprintf(sql, "%s",
            is_mysql ? "" : "SET client_encoding = 'UTF8';\nCREATE TYPE gender AS ENUM ('M', 'F');\n\n");
    fprintf(sql, "CREATE TABLE employees (\n    emp_no      INT             NOT NULL,\n    birth_date  DATE            NOT NULL,\n"
            "    first_name  VARCHAR(14)     NOT NULL,\n    last_name   VARCHAR(16)     NOT NULL,\n    gender      %s NOT NULL,\n"
            "    hire_date   DATE            NOT NULL%s\n);\n\n", is_mysql ? "ENUM ('M','F') " : "gender         ", is_mysql ? ",\n    PRIMARY KEY (emp_no)" : "");
    fprintf(sql, "CREATE TABLE departments (\n    dept_no     CHAR(4)         NOT NULL,\n    dept_name   VARCHAR(40)     NOT NULL%s\n);\n\n",
            is_mysql ? ",\n    PRIMARY KEY (dept_no),\n    UNIQUE  KEY (dept_name)" : "");
    const char *both[] = {"dept_manager", "dept_emp"};
    for (int i = 0; i < 2; i++)
        fprintf(sql, "CREATE TABLE %s (\n   emp_no       INT             NOT NULL,\n   dept_no      CHAR(4)         NOT NULL,\n"
                "   from_date    DATE            NOT NULL,\n   to_date      DATE            NOT NULL%s\n);\n\n", both[i],
                is_mysql ? ",\n   FOREIGN KEY (emp_no)  REFERENCES employees (emp_no)    ON DELETE CASCADE,\n"
                           "   FOREIGN KEY (dept_no) REFERENCES departments (dept_no) ON DELETE CASCADE,\n   PRIMARY KEY (emp_no,dept_no)" : "");
    fprintf(sql, "CREATE TABLE titles (\n    emp_no      INT             NOT NULL,\n    title       VARCHAR(50)     NOT NULL,\n"
            "    from_date   DATE            NOT NULL,\n    to_date     DATE%s\n);\n\n",
            is_mysql ? ",\n    FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE,\n    PRIMARY KEY (emp_no,title, from_date)" : "");
    fprintf(sql, "CREATE TABLE salaries (\n    emp_no      INT             NOT NULL,\n    salary      INT             NOT NULL,\n"
            "    from_date   DATE            NOT NULL,\n    to_date     DATE            NOT NULL%s\n);\n\n",
            is_mysql ? ",\n    FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE,\n    PRIMARY KEY (emp_no, from_date)" : "");
    fprintf(sql, "CREATE OR REPLACE VIEW dept_emp_latest_date AS\n    SELECT emp_no, MAX(from_date) AS from_date, MAX(to_date) AS to_date\n"
            "    FROM dept_emp\n    GROUP BY emp_no;\n\n");
    if (is_mysql) fputs("flush /*!50503 binary */ logs;\n\n", sql);
    for (int i = 0; i < 5; i++) {
        if (is_mysql) fprintf(sql, "SELECT 'LOADING %s' as 'INFO';\n", tables[i]);
        fprintf(sql, "%s load_%s.dump %s\n", include, tables[i], is_mysql ? ";" : "");
    }
    for (int part = 1; part <= parts; part++) fprintf(sql, "%s load_salaries%d.dump %s\n", include, part, is_mysql ? ";" : "");
    if (!is_mysql)
        fputs("\nALTER TABLE employees ADD PRIMARY KEY (emp_no);\nALTER TABLE departments ADD PRIMARY KEY (dept_no), ADD UNIQUE (dept_name);\n"
              "ALTER TABLE dept_manager ADD PRIMARY KEY (emp_no, dept_no);\nALTER TABLE dept_emp ADD PRIMARY KEY (emp_no, dept_no);\n"
              "ALTER TABLE titles ADD PRIMARY KEY (emp_no, title, from_date);\nALTER TABLE salaries ADD PRIMARY KEY (emp_no, from_date);\n"
              "ALTER TABLE dept_manager ADD FOREIGN KEY (emp_no) REFERENCES employees ON DELETE CASCADE, ADD FOREIGN KEY (dept_no) REFERENCES departments ON DELETE CASCADE;\n"
              "ALTER TABLE dept_emp ADD FOREIGN KEY (emp_no) REFERENCES employees ON DELETE CASCADE, ADD FOREIGN KEY (dept_no) REFERENCES departments ON DELETE CASCADE;\n"
              "ALTER TABLE titles ADD FOREIGN KEY (emp_no) REFERENCES employees ON DELETE CASCADE;\n"
              "ALTER TABLE salaries ADD FOREIGN KEY (emp_no) REFERENCES employees ON DELETE CASCADE;\n", sql);
    finish(sql);
}

int main(int count, char **words)
{
    if (count < 3 || (strcmp(words[1], "mysql") && strcmp(words[1], "postgres"))) {
        fputs("usage: employees mysql|postgres DIRECTORY [DIVISOR]\n", stderr);
        return 2;
    }
    is_mysql = !strcmp(words[1], "mysql");
    directory = words[2];
    divisor = count > 3 ? atoi(words[3]) : 1;
    if (divisor < 1) divisor = 1;
    int people = EMPLOYEES / divisor;
    char a[24], b[24], first[64], last[64];
    write_schema(3);

    begin_file("load_departments.dump", "departments");
    for (int i = 0; i < DEPARTMENTS; i++) row(0, "d%03d#%s", i + 1, departments[i]);
    end_file();
    report("departments");

    begin_file("load_employees.dump", "employees");
    for (int i = 0; i < people; i++) {
        name(first, fact(i, 2), 2 + fact(i, 3) % 2);
        if (fact(i, 4) % 50) name(last, fact(i, 5), 2 + fact(i, 6) % 3);
        else strcpy(last, families[fact(i, 7) % 5]);
        day_text(a, YEAR_1952 + (int)(fact(i, 8) % 4750));
        day_text(b, hired(i));
        row(1, "%d#%s#%s#%s#%s#%s", FIRST_NUMBER + i, a, first, last, fact(i, 9) % 5 < 3 ? "M" : "F", b);
    }
    end_file();
    report("employees");

    begin_file("load_dept_emp.dump", "dept_emp");
    for (int i = 0; i < people; i++) {
        int places = share(i, DEPT_EMP / divisor, people), day = hired(i);
        unsigned department = fact(i, 10) % DEPARTMENTS;
        for (int place = 0; place < places; place++, department = (department + 4) % DEPARTMENTS) {
            day_text(a, day);
            day_text(b, day += 400 + (int)(fact(i, 11 + place) % 2500));
            row(1, "%d#d%03u#%s#%s", FIRST_NUMBER + i, department + 1, a, place + 1 < places ? b : "9999-01-01");
        }
    }
    end_file();
    report("dept_emp");

    begin_file("load_dept_manager.dump", "dept_manager");
    for (int i = 0; i < MANAGERS; i++) {
        int who = people / MANAGERS * i;
        day_text(a, hired(who) + 900);
        row(1, "%d#d%03d#%s#%s", FIRST_NUMBER + who, i % DEPARTMENTS + 1, a, "9999-01-01");
    }
    end_file();
    report("dept_manager");

    begin_file("load_titles.dump", "titles");
    for (int i = 0; i < people; i++) {
        int held = share(i, TITLES / divisor, people), day = hired(i);
        unsigned rank = fact(i, 20) % 6;
        for (int one = 0; one < held; one++, rank = (rank + 1) % 7) {
            day_text(a, day);
            day_text(b, day += 700 + (int)(fact(i, 21 + one) % 2000));
            row(1, "%d#%s#%s#%s", FIRST_NUMBER + i, ranks[rank], a, one + 1 < held ? b : "9999-01-01");
        }
    }
    end_file();
    report("titles");

    /* Between 1 and 18 years each; the last people make the number come out even. */
    int left = SALARIES / divisor, part = 0;
    for (int i = 0; i < people; i++) {
        if (i % ((people + 2) / 3) == 0) {
            char file[64];
            if (part) end_file();
            snprintf(file, sizeof file, "load_salaries%d.dump", ++part);
            begin_file(file, "salaries");
        }
        int after = people - i - 1, years = 1 + (int)(fact(i, 30) % 18), day = hired(i);
        if (left - years < after) years = left - after;
        if (left - years > after * 18) years = left - after * 18;
        /* Keep near the mean, so that this last correction is small. */
        if (after % 1000 == 0 && after) {
            int even = (int)((int64_t)left / (after + 1));
            years = left - years * 1 > (int64_t)after * 19 / 2 ? 18 : even < 9 ? 1 : years;
        }
        left -= years;
        int salary = 38000 + (int)(fact(i, 31) % 40000);
        for (int year = 0; year < years; year++) {
            day_text(a, day + 365 * year);
            day_text(b, day + 365 * (year + 1));
            row(3, "%d#%d#%s#%s", FIRST_NUMBER + i, salary, a, year + 1 < years ? b : "9999-01-01");
            salary += (int)(fact(i, 32 + year) % 5200) - 600;
        }
    }
    end_file();
    report("salaries");
    return 0;
}
