package git

import (
	"bytes"
	"strconv"
)

// facts are what is read of a commit.
type facts struct {
	tree                id
	parents             []id
	committed, authored int64
}

// read takes the facts from a commit's content. What is not there stays zero, as git itself shows it.
func (c *facts) read(content []byte) {
	*c = facts{parents: c.parents[:0]}
	for {
		line, rest, _ := bytes.Cut(content, []byte{'\n'})
		key, value, ok := bytes.Cut(line, []byte{' '})
		if !ok {
			return
		}
		c.header(string(key), value)
		if string(key) == "committer" {
			return
		}
		content = rest
	}
}

func (c *facts) header(key string, value []byte) {
	switch key {
	case "tree":
		c.tree, _ = parseID(value)
	case "parent":
		if parent, ok := parseID(value); ok {
			c.parents = append(c.parents, parent)
		}
	case "author":
		c.authored = timeOf(value)
	case "committer":
		c.committed = timeOf(value)
	}
}

// timeOf reads the time of "Name <address> seconds zone".
func timeOf(signature []byte) int64 {
	after := signature[bytes.LastIndexByte(signature, '>')+1:]
	seconds, _, _ := bytes.Cut(bytes.TrimSpace(after), []byte{' '})
	n, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
