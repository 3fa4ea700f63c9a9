/* What a supervisor under measure runs, and the stage it stands on.
 *
 *     actor child REPORT NAME            report the start and each signal; TERM ends it
 *     actor orphans REPORT NAME COUNT    on USR1 hand COUNT zombies to PID 1, and report
 *     actor writes REPORT NAME KIB LINE CHUNK
 *                                        on USR1 write KIB * 1024 bytes in lines of LINE bytes, CHUNK bytes
 *                                        a write; LINE 0: lines of 64 KiB and short ones, numbered
 *     actor sink REPORT NAME LINES FILE  read stdin to its end, into FILE unless that is "-"; report when
 *                                        LINES lines have come
 *     actor nothing                      end
 *     actor peak COMMAND...              run COMMAND, and print the most memory it held, in kB, as its last line
 *     actor stage REPORT COMMAND...      run COMMAND as PID 1 of fresh namespaces
 *
 * A report is one line, appended by one write: "KIND NAME PID MOMENT EXTRA". The moment is
 * CLOCK_MONOTONIC in nanoseconds, the same clock in every namespace. Kinds:
 *
 *     P  the stage: EXTRA is PID 1's pid as the host sees it
 *     E  the stage: the supervisor is executed at this moment
 *     S  a child: main began        G  a child: EXTRA is the signal it got
 *     R  the orphan maker is done   X  the stage: PID 1 is gone, EXTRA is its wait status
 *     W  a writer begins            L  the sink has the last line; EXTRA is the bytes so far
 *     D  a writer has written all; EXTRA is how many lines
 *
 * Children block every signal and take them with sigwaitinfo, so no handler can lose one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BROOD = 64, BACKLOG = 4096, PATIENCE_S = 15 };

static const char *name = "stage";
static int report_fd = -1;

static void die(const char *what)
{
	fprintf(stderr, "actor: cannot %s: %s\n", what, strerror(errno));
	_exit(98);
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void report(char kind, uint64_t moment, const char *extra)
{
	char line[256];
	int n = snprintf(line, sizeof line, "%c %s %d %llu %s\n", kind, name, (int)getpid(),
			 (unsigned long long)moment, extra);
	if (write(report_fd, line, (size_t)n) != n)
		die("report");
}

static void report_number(char kind, uint64_t moment, long number)
{
	char extra[24];
	snprintf(extra, sizeof extra, "%ld", number);
	report(kind, moment, extra);
}

/* Report each signal for ever; TERM, INT and the end of patience with them. */
static void take_signals(const sigset_t *all)
{
	for (;;) {
		int signo = sigwaitinfo(all, NULL);
		uint64_t moment = now();
		if (signo < 0 || signo == SIGCHLD)
			continue;
		report_number('G', moment, signo);
		if (signo == SIGTERM || signo == SIGINT)
			_exit(0);
	}
}

/* One generation: a parent that dies after its n children have. Both are vforked, so this costs
 * PID 1's rival for the processor as little as it can. */
static void make_brood(volatile pid_t *pids, long n)
{
	pid_t parent = vfork();
	if (parent == 0) {
		for (volatile long i = 0; i < n; i++) {
			pid_t orphan = vfork();
			if (orphan == 0)
				_exit(0);
			pids[i] = orphan;
		}
		_exit(0);
	}
	if (parent < 0 || waitpid(parent, NULL, 0) < 0)
		die("make a brood");
	for (long i = 0; i < n; i++)
		if (pids[i] <= 0)
			die("make an orphan");
}

/* An orphan is gone when its pid names nobody (ESRCH): the namespace is fresh and makes fewer
 * processes than it has pids, so none is used twice. Until then it is PID 1's zombie. */
static void make_orphans(long count)
{
	volatile pid_t *pids = calloc((size_t)count, sizeof *pids);
	const struct timespec pause = {0, 200000};
	uint64_t start = now(), deadline = start + PATIENCE_S * 1000000000ull;
	long made = 0, gone = 0, most = 0;
	char extra[128];

	while (gone < count && now() < deadline) {
		if (made < count && made - gone < BACKLOG) {
			long n = count - made < BROOD ? count - made : BROOD;
			make_brood(pids + made, n);
			made += n;
		} else {
			nanosleep(&pause, NULL);
		}
		if (made - gone > most)
			most = made - gone;
		while (gone < made && kill(pids[gone], 0) && errno == ESRCH)
			gone++;
	}
	snprintf(extra, sizeof extra, "%ld %ld %llu", gone, most, (unsigned long long)(now() - start));
	report('R', now(), extra);
}

static void write_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t n = write(fd, bytes, count);
		if (n < 0 && errno != EINTR)
			die("write");
		if (n > 0) {
			bytes += n;
			count -= (size_t)n;
		}
	}
}

/* Lines that cost nothing to make: one buffer, over and over. */
static long write_lines(long total, long line, long chunk)
{
	long size = chunk / line * line;
	char *buffer = malloc((size_t)size);

	for (long i = 0; i < size; i++)
		buffer[i] = i % line == line - 1 ? '\n' : (char)('a' + i % line % 26);
	for (long left = total / line * line; left > 0; left -= size)
		write_all(1, buffer, (size_t)(left < size ? left : size));
	free(buffer);
	return total / line;
}

/* A line of 64 KiB, ten short ones, and again; each with its number and its length. */
static long write_mixed(long total)
{
	static char line[65536];
	long number = 0;

	while (total > 0) {
		long size = number % 11 ? 40 + number % 50 : (long)sizeof line;
		int n = snprintf(line, sizeof line, "%s:%ld:%ld:", name, number, size);
		memset(line + n, name[strlen(name) - 1], (size_t)(size - n));
		line[size - 1] = '\n';
		write_all(1, line, (size_t)size);
		total -= size;
		number++;
	}
	return number;
}

static void sink(long lines, const char *path)
{
	static char buffer[1 << 18];
	int copy = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	long bytes = 0;
	ssize_t n;

	fcntl(0, F_SETPIPE_SZ, 1 << 20);
	while ((n = read(0, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
		uint64_t moment = now();
		const char *at = buffer, *end = buffer + (n > 0 ? n : 0);
		bytes += end - at;
		if (copy >= 0)
			write_all(copy, buffer, (size_t)(end - at));
		while (lines > 0 && (at = memchr(at, '\n', (size_t)(end - at)))) {
			at++;
			if (--lines == 0)
				report_number('L', moment, bytes);
		}
	}
}

static void stage(char **command)
{
	int status;
	pid_t pid1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS))
		die("make namespaces");
	pid1 = fork();
	if (pid1 < 0)
		die("fork");
	if (pid1 == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
			die("mount /proc");
		if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
			die("mount /run");
		report('E', now(), "");
		execvp(command[0], command);
		die(command[0]);
	}
	report_number('P', now(), pid1);
	while (waitpid(pid1, &status, 0) < 0)
		if (errno != EINTR)
			die("wait");
	report_number('X', now(), status);
}

/* Whoever has forked it counts as well, until it has become the command: we are small. */
static int peak(char **command)
{
	struct rusage used;
	int status;
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execv(command[0], command);
		die(command[0]);
	}
	if (wait4(pid, &status, 0, &used) != pid)
		die("wait");
	printf("%ld\n", used.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

int main(int argc, char **argv)
{
	uint64_t start = now();
	const char *role = argc > 3 ? argv[1] : "";
	sigset_t all;

	if (argc > 2 && !strcmp(argv[1], "peak"))
		return peak(argv + 2);
	if (argc > 3) {
		report_fd = open(argv[2], O_WRONLY | O_APPEND | O_CLOEXEC);
		if (report_fd < 0)
			die(argv[2]);
	}
	if (!strcmp(role, "stage")) {
		stage(argv + 3);
		return 0;
	}
	if (!strcmp(role, "sink") && argc == 6) {
		name = argv[3];
		sink(atol(argv[4]), argv[5]);
		return 0;
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (!strcmp(role, "writes") && argc == 7) {
		sigset_t go;
		long total = atol(argv[4]) * 1024, line = atol(argv[5]);
		name = argv[3];
		sigemptyset(&go);
		sigaddset(&go, SIGUSR1);
		report('S', start, "");
		sigwaitinfo(&go, NULL);
		report('W', now(), "");
		line = line ? write_lines(total, line, atol(argv[6])) : write_mixed(total);
		report_number('D', now(), line);
		take_signals(&all);
	}
	if (!strcmp(role, "child")) {
		name = argv[3];
		report('S', start, "");
		take_signals(&all);
	}
	if (!strcmp(role, "orphans") && argc == 5) {
		sigset_t go;
		name = argv[3];
		sigemptyset(&go);
		sigaddset(&go, SIGUSR1);
		report('S', start, "");
		sigwaitinfo(&go, NULL);
		make_orphans(atol(argv[4]));
		take_signals(&all);
	}
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	fputs("usage: see the head of actor.c\n", stderr);
	return 2;
}
