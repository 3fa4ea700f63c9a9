/* A service for the tests of `minisup run`: what a shell cannot do. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* notify TEXT: sends TEXT to NOTIFY_SOCKET, as sd_notify(3) does; 1 if it cannot be sent.
 * flood TEXT: the same without end. */
static int notify(const char *text, int without_end)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *name = getenv("NOTIFY_SOCKET");
	size_t length = name ? strlen(name) : 0;

	if (!length || length >= sizeof to.sun_path)
		return 1;
	memcpy(to.sun_path, name, length);
	if (name[0] == '@')
		to.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + length;
	int failed;
	do
		failed = sendto(fd, text, strlen(text), 0, (void *)&to, size) < 0;
	while (without_end && !failed);
	return failed;
}

static int bound(const char *address)
{
	int fd, yes = 1, failed;

	if (!strncmp(address, "fd:", 3))
		return atoi(address + 3);
	if (address[0] == '/') {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		strncpy(un.sun_path, address, sizeof un.sun_path - 1);
		unlink(address);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		failed = bind(fd, (void *)&un, sizeof un);
	} else {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(address))};
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
		failed = bind(fd, (void *)&in, sizeof in);
	}
	return failed || listen(fd, 16) ? -1 : fd;
}

/* serve ADDRESS FILE (ADDRESS is a path, a port, or fd:3 for a socket that is there already): answers every request with what is in FILE at that moment. */
static int serve(const char *address, const char *path)
{
	char bytes[4096];
	int listener = bound(address);

	if (listener < 0)
		return 1;
	for (;;) {
		int client = accept(listener, 0, 0);
		int file = open(path, O_RDONLY);
		if (read(client, bytes, sizeof bytes) > 0) {
			ssize_t count = read(file, bytes, sizeof bytes);
			if (count > 0 && write(client, bytes, count) < 0)
				return 1;
		}
		close(file);
		close(client);
	}
}

/* obey NAME CODE: says "start NAME", tells NOTIFY_SOCKET if there is one, waits for TERM, says
 * "stop NAME", ends with CODE. */
static int obey(const char *name, int code)
{
	sigset_t term;
	int signal;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, 0);
	dprintf(1, "start %s\n", name);
	if (getenv("NOTIFY_SOCKET") && notify("READY=1", 0))
		return 1;
	sigwait(&term, &signal);
	dprintf(1, "stop %s\n", name);
	return code;
}

int main(int count, char **words)
{
	if (count == 3 && !strcmp(words[1], "notify"))
		return notify(words[2], 0);
	if (count == 3 && !strcmp(words[1], "flood"))
		return notify(words[2], 1);
	if (count == 4 && !strcmp(words[1], "serve"))
		return serve(words[2], words[3]);
	if (count == 4 && !strcmp(words[1], "obey"))
		return obey(words[2], atoi(words[3]));
	dprintf(2, "actor: what is %s?\n", count > 1 ? words[1] : "");
	return 2;
}
