/* The limit: the least a PID 1 can do for the same work. No configuration, no log, no state machine,
 * no control socket; what a supervisor takes beyond this is its own.
 *
 *     limit [LOG] COUNT COMMAND...       an argument "{}" becomes s0000, s0001, ...
 *
 * COUNT children by vfork and exec, each launched again at once when it ends; every orphan reaped;
 * HUP, USR1 and USR2 passed on to every child; TERM passed on, and when the last child is gone, exit 0.
 *
 * LOG is what is done with the children's stdout: nothing, it is our own; "-copy": a pipe each, read and
 * written to ours; "-prefix": the same with "NAME | " before each line; "-rotate=FOLDER": written to files
 * of 16 MiB; "-both": stderr as well, two pipes each, which end with the child (for stops: nobody is launched
 * again). Reads of a pipe's whole capacity, no clock, no ends of lines but for the prefix. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPE = 1 << 20, FILE_SIZE = 16 << 20 };

static pid_t *pids;
static char **command;
static int count, alive;
static char mode;      /* the second letter of LOG */
static int streams = 1; /* of each child that have a pipe */
static int epoll = -1;
static const char *folder;
static int (*pipes)[2]; /* first everybody's stdout */
static char *has_begun_line;

/* The child holds the only end for writing, so that the pipe ends with it. */
static void pipe_of_its_own(int number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)number};

	if (pipe2(pipes[number], O_CLOEXEC) || epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[number][0], &event)) {
		perror("limit: no pipe");
		_exit(99);
	}
}

static void launch(int i)
{
	char *argv[32], name[16];
	int k;

	for (k = 0; k < streams && mode == 'b'; k++)
		pipe_of_its_own(i + k * count);

	snprintf(name, sizeof name, "s%04d", i);
	for (k = 0; command[k] && k < 31; k++)
		argv[k] = strcmp(command[k], "{}") ? command[k] : name;
	argv[k] = NULL;
	pids[i] = vfork();
	if (pids[i] == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (k = 0; k < streams && mode; k++)
			dup2(pipes[i + k * count][1], k + 1);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pids[i] < 0) {
		perror("limit: cannot vfork");
		_exit(99);
	}
	for (k = 0; k < streams && mode == 'b'; k++)
		close(pipes[i + k * count][1]);
	alive++;
}

static void reap(int stopping)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		int i = 0;
		while (i < count && pids[i] != pid)
			i++;
		if (i == count)
			continue;
		pids[i] = 0;
		alive--;
		if (!stopping && mode != 'b')
			launch(i);
	}
}

static void write_all(int fd, const char *bytes, ssize_t left)
{
	while (left > 0) {
		ssize_t n = write(fd, bytes, (size_t)left);
		if (n < 0) {
			perror("limit: cannot write");
			_exit(99);
		}
		bytes += n;
		left -= n;
	}
}

static void to_file(const char *bytes, ssize_t n)
{
	static int fd = -1, number;
	static long size;
	char path[512];

	if (fd < 0 || size + n > FILE_SIZE) {
		if (fd >= 0)
			close(fd);
		snprintf(path, sizeof path, "%s/log.%d", folder, number++);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		size = 0;
	}
	write_all(fd, bytes, n);
	size += n;
}

static void prefixed(int i, const char *at, const char *end)
{
	static char out[3 * PIPE];
	char *to = out, prefix[16];
	int length = snprintf(prefix, sizeof prefix, "s%04d | ", i);

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *next = newline ? newline + 1 : end;
		if (!has_begun_line[i]) {
			memcpy(to, prefix, (size_t)length);
			to += length;
		}
		memcpy(to, at, (size_t)(next - at));
		to += next - at;
		at = next;
		has_begun_line[i] = !newline;
		if (to - out > PIPE) {
			write_all(1, out, to - out);
			to = out;
		}
	}
	write_all(1, out, to - out);
}

/* Moves what there is to be moved; the signal that came, or 0. */
static int wait_and_move(int signals)
{
	static char buffer[PIPE];
	struct epoll_event events[64];
	struct signalfd_siginfo signal = {0};
	int n = epoll_wait(epoll, events, 64, -1);

	for (int k = 0; k < n; k++) {
		int i = (int)events[k].data.u32;
		if (i == streams * count) {
			if (read(signals, &signal, sizeof signal) != sizeof signal)
				signal.ssi_signo = 0;
			continue;
		}
		ssize_t got = read(pipes[i][0], buffer, sizeof buffer);
		if (got == 0)
			close(pipes[i][0]);
		if (got > 0 && (mode == 'c' || mode == 'b'))
			write_all(1, buffer, got);
		if (got > 0 && mode == 'r')
			to_file(buffer, got);
		if (got > 0 && mode == 'p')
			prefixed(i, buffer, buffer + got);
	}
	return (int)signal.ssi_signo;
}

int main(int argc, char **argv)
{
	sigset_t all;
	int stopping = 0, signals = -1;

	if (argc > 1 && argv[1][0] == '-') {
		mode = argv[1][1];
		folder = strchr(argv[1], '=') ? strchr(argv[1], '=') + 1 : ".";
		argv++, argc--;
	}
	if (argc < 3)
		return 2;
	count = atoi(argv[1]);
	command = argv + 2;
	pids = calloc((size_t)count, sizeof *pids);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (mode) {
		streams = mode == 'b' ? 2 : 1;
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)(streams * count)};
		epoll = epoll_create1(EPOLL_CLOEXEC);
		signals = signalfd(-1, &all, SFD_CLOEXEC);
		epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &event);
		pipes = calloc((size_t)(streams * count), sizeof *pipes);
		has_begun_line = calloc((size_t)count, 1);
		for (int i = 0; i < count && mode != 'b'; i++) {
			event.data.u32 = (unsigned)i;
			if (pipe2(pipes[i], O_CLOEXEC))
				return 99;
			fcntl(pipes[i][0], F_SETPIPE_SZ, PIPE);
			epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[i][0], &event);
		}
	}
	for (int i = 0; i < count; i++)
		launch(i);
	while (!stopping || alive) {
		int signo = mode ? wait_and_move(signals) : sigwaitinfo(&all, NULL);
		if (signo == SIGCHLD)
			reap(stopping);
		if (signo == SIGTERM)
			stopping = 1;
		if (signo == SIGTERM || signo == SIGHUP || signo == SIGUSR1 || signo == SIGUSR2)
			for (int i = 0; i < count; i++)
				if (pids[i])
					kill(pids[i], signo);
	}
	return 0;
}
