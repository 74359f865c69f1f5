package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lines says on which line of the config a key is written: "server.listen",
// "product[1].limit".
type lines map[string]int

// of finds a key's line, or that of the nearest table around it.
func (l lines) of(key string) (line int, ok bool) {
	for {
		if line, ok := l[key]; ok {
			return line, true
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0, false
		}
		key = key[:i]
	}
}

// findLines reads a document that is known to be good TOML.
func findLines(doc []byte) lines {
	l := lines{}
	count := map[string]int{} // tables of each array so far
	table := ""
	line := func(n *unstable.Node) int {
		return 1 + bytes.Count(doc[:n.Raw.Offset], []byte("\n"))
	}
	p := unstable.Parser{}
	p.Reset(doc)
	for p.NextExpression() {
		e := p.Expression()
		path, at := "", 0
		for it := e.Key(); it.Next(); {
			path += "." + string(it.Node().Data)
			at = line(it.Node())
		}
		path = strings.TrimPrefix(path, ".")
		switch e.Kind {
		case unstable.ArrayTable:
			table = fmt.Sprintf("%s[%d]", path, count[path])
			count[path]++
			l[table] = at
		case unstable.Table:
			table = path
			l[table] = at
		case unstable.KeyValue:
			l[strings.TrimPrefix(table+"."+path, ".")] = at
		}
	}
	return l
}
