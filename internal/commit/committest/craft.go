package committest

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Grow adds n commits to the branch that is checked out, a minute apart, by git's fast importer. Each changes a file of its own below
// "grown". The branch must have a commit already. It returns the full SHA of the last.
func (r *Repo) Grow(n int) string {
	r.t.Helper()
	branch, from := r.Git("symbolic-ref", "HEAD"), r.Push()
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, "commit %s\ncommitter Ada <ada@example.com> %d +0000\ndata 5\ngrown\n", branch, r.clock.Unix())
		if i == 0 {
			fmt.Fprintf(&in, "from %s\n", from)
		}
		fmt.Fprintf(&in, "M 100644 inline grown/%d\ndata 2\nx\n\n", i)
		r.clock = r.clock.Add(time.Minute)
	}
	r.Import(in.Bytes())
	r.Git("fetch", "--quiet", "--force", "--tags", "origin")
	r.Git("reset", "--quiet", "--hard", "origin/"+strings.TrimPrefix(branch, "refs/heads/"))
	return r.Git("rev-parse", "HEAD")
}

// Import gives a stream to git's fast importer, in the bare repository. The work tree does not follow.
func (r *Repo) Import(stream []byte) {
	r.t.Helper()
	cmd := command(r.Dir, nil, "fast-import", "--quiet", "--force")
	cmd.Stdin = bytes.NewReader(stream)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

// Object writes an object of any kind as it is given, and returns its full SHA.
func (r *Repo) Object(kind string, content []byte) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "object")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return r.run(r.Dir, nil, "hash-object", "-t", kind, "-w", path)
}

// Twins makes two children of the commit that is checked out whose SHAs begin with the same 7 digits, on the branches twin-0 and twin-1,
// and returns their full SHAs. Of some 20,000 commits two are likely twins, so they are looked for before they are written.
func (r *Repo) Twins() [2]string {
	r.t.Helper()
	head := "tree " + r.Git("rev-parse", "HEAD^{tree}") + "\nparent " + r.Git("rev-parse", "HEAD") + "\n"
	by := "Ada <ada@example.com> " + stamp(r.clock)
	seen := map[string][]byte{}
	for i := 0; ; i++ {
		content := fmt.Appendf(nil, "%sauthor %s\ncommitter %s\n\ntwin %d\n", head, by, by, i)
		digits := objectSHA("commit", content)[:7]
		if other, ok := seen[digits]; ok {
			return [2]string{r.branch("twin-0", other), r.branch("twin-1", content)}
		}
		seen[digits] = content
	}
}

func (r *Repo) branch(name string, content []byte) string {
	r.t.Helper()
	sha := r.Object("commit", content)
	r.run(r.Dir, nil, "update-ref", "refs/heads/"+name, sha)
	return sha
}

func objectSHA(kind string, content []byte) string {
	h := sha1.New()
	_, _ = h.Write([]byte(kind + " " + strconv.Itoa(len(content)) + "\x00"))
	_, _ = h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}
