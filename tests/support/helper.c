/* What the tests launch: small programs with known behaviour, one per first argument.
 * Each says on stdout what happened, a line at a time, so that tests wait for lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void say(const char *format, long number)
{
	char line[100];
	int length = snprintf(line, sizeof line - 1, format, number);

	/* One write, so that no other process's line comes between. */
	line[length++] = '\n';
	if (write(1, line, length) != length)
		_exit(3);
}

/* hold MEGABYTES: has so much memory of its own, and waits. */
static int hold(long megabytes)
{
	size_t size = megabytes * 1000000;
	char *all = malloc(size);

	if (!all)
		return 1;
	memset(all, 1, size);
	say("holds %ld", all[size - 1] * megabytes);
	for (;;)
		pause();
}

/* catch [IGNORED...]: says "ready", then the number of every signal that comes. */
static int catch(int count, char **numbers)
{
	sigset_t all;
	int signal;

	sigfillset(&all);
	for (int i = 0; i < count; i++)
		sigdelset(&all, atoi(numbers[i]));
	sigprocmask(SIG_SETMASK, &all, 0);
	say("ready", 0);
	while ((signal = sigwaitinfo(&all, 0)) > 0 || errno == EINTR)
		if (signal > 0)
			say("%ld", signal);
	return 1;
}

/* die N: ends by signal N, without a core. */
static int die(int number)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	raise(number);
	return 0;
}

/* orphans N: makes N orphans which end at once, says "made", waits for a signal. */
static int orphans(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t middle = fork();
		if (middle < 0)
			return 1;
		if (middle == 0) {
			if (fork() < 0)
				_exit(1);
			_exit(0);
		}
		int status;
		if (waitpid(middle, &status, 0) < 0 || status != 0)
			return 1;
	}
	say("made", 0);
	pause();
	return 0;
}

/* orphan: leaves a process that says "adopted N" once its parent is another, N, and stays
 * until the end of stdin. */
static int orphan(void)
{
	pid_t middle = getpid();

	if (fork() == 0) {
		setsid();
		while (getppid() == middle) {
			struct timespec tick = {0, 1000000};
			nanosleep(&tick, 0);
		}
		say("adopted %ld", getppid());
		char byte;
		while (read(0, &byte, 1) > 0)
			;
	}
	return 0;
}

/* daemon: forks one that leaves session and group, ignores nothing, waits for a signal;
 * says its pid, and ends when one byte or the end of file comes on stdin. */
static int daemonise(void)
{
	int both[2];
	char byte;

	if (pipe(both))
		return 1;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			setsid();
			say("daemon %ld", getpid());
			close(both[0]);
			close(both[1]);
			pause();
			_exit(0);
		}
		_exit(0);
	}
	close(both[1]);
	while (read(both[0], &byte, 1) > 0)
		;
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		;
	return 0;
}

/* group: forks a second of the same group; both say "ready", then what signals come, the
 * second with 1000 added. */
static int group(void)
{
	int second = fork() == 0;
	sigset_t all;
	int signal;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, 0);
	say("ready", 0);
	while ((signal = sigwaitinfo(&all, 0)) > 0 || errno == EINTR) {
		if (signal == SIGCHLD)
			continue;
		say("%ld", signal + (second ? 1000 : 0));
		if (signal == SIGTERM)
			return 0;
	}
	return 1;
}

/* terminal: says "foreground 1" if stdin's foreground group is ours, then as `catch`. */
static int terminal(void)
{
	say("foreground %ld", tcgetpgrp(0) == getpgrp());
	say("session %ld", getsid(0) == getpid());
	return catch(0, 0);
}

/* shell CMD...: does with CMD what a shell with job control does: gives it the terminal on
 * stdin, says "stopped" and goes on with it when it stops, says "ended CODE". */
static int shell(char **command)
{
	int status;

	signal(SIGTTOU, SIG_IGN);
	setsid();
	ioctl(0, TIOCSCTTY, 0);
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpgrp());
		signal(SIGTTOU, SIG_DFL);
		execvp(command[0], command);
		_exit(127);
	}
	setpgid(child, child);
	tcsetpgrp(0, child);
	for (;;) {
		if (waitpid(child, &status, WUNTRACED) < 0)
			return 1;
		if (!WIFSTOPPED(status))
			break;
		tcsetpgrp(0, getpgrp());
		say("stopped", 0);
		tcsetpgrp(0, child);
		kill(-child, SIGCONT);
	}
	say("ended %ld", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

/* descriptors: says the numbers of all that are open. */
static int descriptors(void)
{
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			say("%ld", fd);
	return 0;
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "";

	if (!strcmp(what, "catch"))
		return catch(count - 2, words + 2);
	if (!strcmp(what, "die") && count > 2)
		return die(atoi(words[2]));
	if (!strcmp(what, "exit") && count > 2)
		return atoi(words[2]);
	if (!strcmp(what, "orphans") && count > 2)
		return orphans(atol(words[2]));
	if (!strcmp(what, "orphan"))
		return orphan();
	if (!strcmp(what, "daemon"))
		return daemonise();
	if (!strcmp(what, "group"))
		return group();
	if (!strcmp(what, "terminal"))
		return terminal();
	if (!strcmp(what, "shell") && count > 2)
		return shell(words + 2);
	if (!strcmp(what, "hold") && count > 2)
		return hold(atol(words[2]));
	if (!strcmp(what, "descriptors"))
		return descriptors();
	dprintf(2, "helper: what is %s?\n", what);
	return 2;
}
