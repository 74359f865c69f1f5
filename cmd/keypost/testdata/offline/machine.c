
/* The test's own: a call a line. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	static char line[1 << 16];

	if (sodium_init() < 0)
		return 1;
	while (fgets(line, sizeof line, stdin)) {
		char *field[5] = {line};
		int i;

		for (i = 1; i < 5; i++) {
			field[i] = strchr(field[i - 1], '\t');
			*field[i]++ = 0;
		}
		field[4][strcspn(field[4], "\n")] = 0;
		puts(is_code_of(field[0], field[1], field[2], field[4], (size_t)atoi(field[3])) ? "true" : "false");
	}
	return 0;
}
