/* A module that does harm, as the order's first seed says. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

static char line[1 << 16];
static volatile int zero, seven = 7; /* the compiler is to know nothing of them */
static void *volatile block;

static int does(const char *what)
{
	char seed[64];

	snprintf(seed, sizeof seed, "\"seeds\":[\"%s\"", what);
	return strstr(line, seed) != NULL;
}

static int deeper(int n)
{
	return n ? deeper(n + 1) + deeper(n + 2) + zero : zero;
}

static int deep_in_memory(int n)
{
	volatile char frame[4096];

	frame[n % 4096] = (char)n;
	return deep_in_memory(n + 1) + frame[zero];
}

static void files(void)
{
	static const char *const names[] = {"/etc/passwd", "etc/passwd", "../../../etc/passwd", "hostile.c", "/proc/self/environ", "/dev/urandom", "."};
	struct stat st;
	unsigned fd, i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (fopen(names[i], "r") || opendir(names[i]) || stat(names[i], &st) == 0)
			puts(names[i]);
	if (fopen("/tmp/x", "w") || fopen("x", "w") || mkdir("/tmp/y", 0700) == 0 || unlink("/tmp/x") == 0)
		puts("FILE");
	for (fd = 0; fd < 100; fd++) { /* past the C library */
		__wasi_fd_t opened;
		__wasi_prestat_t prestat;

		if (__wasi_path_open(fd, 0, "etc/passwd", 0, __WASI_RIGHTS_FD_READ, 0, 0, &opened) == 0)
			puts("FILE");
		if (fd > 2 && __wasi_fd_prestat_get(fd, &prestat) == 0) /* a folder that it was given */
			puts("FOLDER");
	}
	puts("NO-FILES");
}

static void sockets(void)
{
	unsigned fd;

	for (fd = 0; fd < 100; fd++) { /* WASI can accept on a socket that it was given, and open none */
		__wasi_fd_t opened;
		__wasi_size_t n;
		__wasi_ciovec_t out = {(const uint8_t *)"x", 1};

		if (__wasi_sock_accept(fd, 0, &opened) == 0 || __wasi_sock_send(fd, &out, 1, 0, &n) == 0)
			puts("SOCKET");
	}
	puts("NO-SOCKETS");
}

static void repeat(FILE *to, const char *text)
{
	for (;;)
		fputs(text, to);
}

int main(void)
{
	if (!fgets(line, sizeof line, stdin))
		return 1;
	if (does("loop"))
		for (;;)
			zero = 0;
	if (does("sleep"))
		sleep(3600);
	if (does("memory")) {
		int blocks = 0;

		for (; (block = malloc(1 << 20)); blocks++)
			memset(block, 1, 1 << 20);
		fprintf(stderr, "had %d MiB and more", blocks / 8 * 8);
		abort();
	}
	if (does("memory and loop")) {
		while ((block = malloc(1 << 20)))
			memset(block, 1, 1 << 20);
		for (;;)
			zero = 0;
	}
	if (does("chance"))
		for (block = malloc(16 << 20);;)
			__wasi_random_get(block, 16 << 20);
	if (does("renumber"))
		if (__wasi_fd_renumber(0, 0x7fffffc0) != 0)
			abort();
	if (does("poll")) {
		__wasi_subscription_t on[2] = {{.u.tag = __WASI_EVENTTYPE_FD_READ}, {.u.tag = __WASI_EVENTTYPE_CLOCK}};
		__wasi_event_t events[2];
		__wasi_size_t n;

		on[1].u.u.clock.timeout = 3600ull * 1000 * 1000 * 1000;
		for (;;)
			(void)__wasi_poll_oneoff(on, events, 2, &n);
	}
	if (does("vectors")) { /* one call, with more buffers than there is memory */
		__wasi_ciovec_t *list = malloc(sizeof *list << 20);
		__wasi_size_t n;
		int i;

		if (!list)
			abort();
		for (i = 0; i < 1 << 20; i++) {
			list[i].buf = (const uint8_t *)line;
			list[i].buf_len = sizeof line;
		}
		for (;;)
			(void)__wasi_fd_write(2, list, 1 << 20, &n);
	}
	if (does("output"))
		repeat(stdout, "an endless code");
	if (does("lines"))
		repeat(stdout, "x\n");
	if (does("errors"))
		repeat(stderr, "an endless error\n");
	if (does("recursion"))
		return deeper(1);
	if (does("recursion in memory"))
		return deep_in_memory(1);
	if (does("trap"))
		__builtin_trap();
	if (does("divide"))
		return seven / zero;
	if (does("pointer"))
		return *(volatile int *)0x7ffffff0;
	if (does("abort"))
		abort();
	if (does("file"))
		files();
	else if (does("socket"))
		sockets();
	else if (does("nothing"))
		;
	else if (does("few"))
		puts("C-1");
	else if (does("many"))
		puts("C-1\nC-2\nC-3\nC-4");
	else if (does("empty"))
		puts("C-1\n\nC-3");
	else if (does("bytes"))
		puts("C-1\nC-\xff\xfe\nC-3");
	else if (does("control"))
		puts("C-1\nC-\033[31m\nC-3");
	else if (does("long"))
		printf("C-1\nC-2\n%0256d\n", 0);
	else
		puts("C-1\nC-2\nC-3");
	return 0;
}
