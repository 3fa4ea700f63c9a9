/* The limit: the least a PID 1 can do for the same work. No configuration, no log, no state machine,
 * no control socket; what a supervisor takes beyond this is its own.
 *
 *     limit COUNT COMMAND...       an argument "{}" becomes s0000, s0001, ...
 *
 * COUNT children by vfork and exec, each launched again at once when it ends; every orphan reaped;
 * HUP, USR1 and USR2 passed on to every child; TERM passed on, and when the last child is gone, exit 0. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t *pids;
static char **command;
static int count, alive;

static void launch(int i)
{
	char *argv[32], name[16];
	int k;

	snprintf(name, sizeof name, "s%04d", i);
	for (k = 0; command[k] && k < 31; k++)
		argv[k] = strcmp(command[k], "{}") ? command[k] : name;
	argv[k] = NULL;
	pids[i] = vfork();
	if (pids[i] == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pids[i] < 0) {
		perror("limit: cannot vfork");
		_exit(99);
	}
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
		if (!stopping)
			launch(i);
	}
}

int main(int argc, char **argv)
{
	sigset_t all;
	int stopping = 0;

	if (argc < 3)
		return 2;
	count = atoi(argv[1]);
	command = argv + 2;
	pids = calloc((size_t)count, sizeof *pids);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < count; i++)
		launch(i);
	while (!stopping || alive) {
		int signo = sigwaitinfo(&all, NULL);
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
