/* A vendor's generator as a module: codes by chance, as many as are wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	const char *quantity;
	char *line = NULL;
	size_t size = 0;
	long n;

	if (getline(&line, &size, stdin) < 0 || !(quantity = strstr(line, "\"quantity\":")))
		return 1;
	for (n = atol(strchr(quantity, ':') + 1); n > 0; n--) {
		unsigned char chance[12];
		size_t i;

		if (getentropy(chance, sizeof chance) != 0)
			return 1;
		fputs("WASM-", stdout);
		for (i = 0; i < sizeof chance; i++)
			printf("%02X", chance[i]);
		putchar('\n');
	}
	return 0;
}
