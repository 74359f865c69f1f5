

# The test's own: a call a line, what was bought a line.
import sys

for line in sys.stdin:
    product, fingerprint, now, lease = line.rstrip("\n").split("\t")
    try:
        said = read_lease(sys.argv[1:], product, fingerprint, lease, int(now))
        print(said["sub"] + "|" + str(said["ent"]["limit"]))
    except Exception:
        print("refused")
