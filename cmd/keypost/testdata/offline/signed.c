
/* The test's own: a call a line, what was sold a line. */
#include <stdio.h>

int main(int argc, char **argv)
{
	static char line[1 << 16];
	struct sold sold;

	if (argc != 2 || sodium_init() < 0)
		return 1;
	while (fgets(line, sizeof line, stdin)) {
		char *code = strchr(line, '\t');

		*code++ = 0;
		code[strcspn(code, "\n")] = 0;
		if (!read_code(argv[1], line, code, &sold)) {
			puts("refused");
			continue;
		}
		printf("%02x%02x%02x%02x|", sold.number[0], sold.number[1], sold.number[2], sold.number[3]);
		if (sold.last_day >= 0)
			printf("%d", sold.last_day);
		printf("|");
		if (sold.seats)
			printf("%lu", sold.seats);
		printf("|%s|%s\n", sold.edition, sold.name);
	}
	return 0;
}
