

# The test's own: a call a line, what was sold a line.
import sys

for line in sys.stdin:
    product, code = line.rstrip("\n").split("\t")
    try:
        sold = read_code(sys.argv[1], product, code)
        print("|".join(str(sold.get(key, "")) for key in ("number", "last_day", "seats", "edition", "name")))
    except Exception:
        print("refused")
