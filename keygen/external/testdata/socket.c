/* A module that wants more than WASI has: a call that opens a socket. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_open"))) int sock_open(int family, int type, int *fd);

int main(void)
{
	int fd;

	return sock_open(1, 2, &fd);
}
