

# The test's own: a call a line.
import sys

for line in sys.stdin:
    key, product, number, symbols, code = line.rstrip("\n").split("\t")
    print(str(is_code_of(key, product, number, code, int(symbols))).lower())
