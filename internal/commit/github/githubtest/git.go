package githubtest

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	hex40   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	someHex = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)
)

// git runs the git command in the repository and returns what it prints; nothing if it fails.
func (s *Server) git(args ...string) string {
	cmd := exec.Command("git", append([]string{"--literal-pathspecs"}, args...)...)
	cmd.Dir = s.repo.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(out), "\n")
}

func (s *Server) lines(args ...string) []string {
	return strings.FieldsFunc(s.git(args...), func(r rune) bool { return r == '\n' })
}

// resolve finds a commit as GitHub does: a branch, a tag, HEAD, a full SHA or an unambiguous short one. A ref is taken before a SHA, as
// git itself does for short ones. GitHub does not peel the SHA of a tag object (recorded: 422).
func (s *Server) resolve(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "-") {
		return ""
	}
	if hex40.MatchString(ref) { // GitHub takes no pushes of refs with such a name
		return s.commitOnly(ref)
	}
	for _, full := range []string{"refs/heads/" + ref, "refs/tags/" + ref, ref} {
		if full == ref && !strings.HasPrefix(ref, "refs/") && ref != "HEAD" {
			break
		}
		if sha := s.git("rev-parse", "--verify", "--quiet", full+"^{commit}"); sha != "" {
			return sha
		}
	}
	if !someHex.MatchString(ref) {
		return ""
	}
	return s.commitOnly(s.git("rev-parse", "--verify", "--quiet", ref))
}

func (s *Server) commitOnly(sha string) string {
	if sha == "" || s.git("cat-file", "-t", sha) != "commit" {
		return ""
	}
	return sha
}

// commit answers GET /commits/{ref}. The media type "sha" gives the SHA alone.
func (s *Server) commit(ref string, req *http.Request) answer {
	sha := s.resolve(ref)
	if sha == "" {
		return refusal(http.StatusUnprocessableEntity, "No commit found for SHA: "+ref)
	}
	if accept := req.Header.Get("Accept"); accept == "application/vnd.github.sha" || accept == "application/vnd.github.v3.sha" {
		a := answer{status: http.StatusOK, body: []byte(sha)}
		a.set("Content-Type", "application/vnd.github.sha; charset=utf-8")
		return a
	}
	return of(http.StatusOK, s.commits(sha)[0])
}

// commits are the list's form of a commit.
func (s *Server) commits(shas ...string) []any {
	if len(shas) == 0 {
		return []any{}
	}
	var all []any
	for _, row := range s.lines(append([]string{"log", "--no-walk=unsorted", "--format=%H%x00%at%x00%ct%x00%P%x00%s"}, shas...)...) {
		f := strings.Split(row, "\x00")
		parents := []any{}
		for p := range strings.FieldsSeq(f[3]) {
			parents = append(parents, map[string]any{"sha": p})
		}
		all = append(all, map[string]any{
			"sha": f[0], "parents": parents, "author": nil, "committer": nil,
			"commit": map[string]any{
				"message": f[4],
				"author":  map[string]any{"name": "Ada", "email": "ada@example.com", "date": date(f[1])},
				"committer": map[string]any{
					"name": "Ada", "email": "ada@example.com", "date": date(f[2]),
				},
			},
		})
	}
	return all
}

func date(seconds string) string {
	n, _ := strconv.ParseInt(seconds, 10, 64) // git's own output
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// list answers GET /commits, newest first: git log of a path, since a time.
func (s *Server) list(req *http.Request) answer {
	q := req.URL.Query()
	ref := q.Get("sha")
	if ref == "" {
		ref = "HEAD"
	}
	sha := s.resolve(ref)
	if sha == "" {
		return notFound()
	}
	args := []string{"log", "--format=%H"}
	if since := q.Get("since"); since != "" {
		args = append(args, "--since="+since)
	}
	args = append(args, sha)
	if path := q.Get("path"); path != "" {
		args = append(args, "--", path)
	}
	all := s.lines(args...)
	from, to, link := page(req, len(all), 30)
	return paged(s.commits(all[from:to]...), link)
}

// compare answers GET /compare/{base}...{head}: what head has and base has not, oldest first. Without paging there are 250 commits at
// most, and changed files (300 at most) come with the first page alone.
func (s *Server) compare(basehead string, req *http.Request) answer {
	left, right, ok := strings.Cut(basehead, "...")
	base, head := s.resolve(left), s.resolve(right)
	if !ok || base == "" || head == "" {
		return notFound()
	}
	mergeBase := s.git("merge-base", base, head)
	if mergeBase == "" {
		return refusal(http.StatusNotFound, "No common ancestor between "+left+" and "+right+".")
	}
	ahead := s.lines("rev-list", "--topo-order", "--reverse", base+".."+head)
	behind := s.lines("rev-list", head+".."+base)
	from, to, link := page(req, len(ahead), 30)
	if q := req.URL.Query(); !q.Has("page") && !q.Has("per_page") {
		from, to, link = 0, min(len(ahead), 250), ""
	}
	body := map[string]any{
		"status": status(len(ahead), len(behind)), "ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead),
		"merge_base_commit": s.commits(mergeBase)[0], "base_commit": s.commits(base)[0], "commits": s.commits(ahead[from:to]...),
	}
	if from == 0 {
		body["files"] = s.files(mergeBase, head)
	}
	return paged(body, link)
}

func status(ahead, behind int) string {
	switch {
	case ahead > 0 && behind > 0:
		return "diverged"
	case ahead > 0:
		return "ahead"
	case behind > 0:
		return "behind"
	}
	return "identical"
}

func (s *Server) files(base, head string) []any {
	files := []any{}
	for _, name := range s.lines("diff", "--name-only", base, head) {
		if len(files) < 300 {
			files = append(files, map[string]any{"filename": name, "status": "modified", "patch": "@@ -1 +1 @@"})
		}
	}
	return files
}

// contents answers GET /contents/{path} in the media type "object", which is the same for folders and files.
func (s *Server) contents(path string, req *http.Request) answer {
	ref := req.URL.Query().Get("ref")
	at := s.resolve(ref)
	if at == "" {
		return refusal(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	sha := s.git("rev-parse", "--verify", "--quiet", at+":"+path)
	if sha == "" {
		return notFound()
	}
	if req.Header.Get("Accept") != "application/vnd.github.object+json" {
		return of(http.StatusOK, []any{}) // a folder's list has no SHA of its own
	}
	kind := "file"
	if s.git("cat-file", "-t", sha) == "tree" {
		kind = "dir"
	}
	return of(http.StatusOK, map[string]any{"type": kind, "path": path, "sha": sha})
}

// object answers for GET /git/ref/{ref}, which takes exact names, /git/tags/{sha} and /git/commits/{sha}, which take full SHAs.
func (s *Server) object(kind, name string) answer {
	if kind == "ref" {
		return s.ref(name)
	}
	want, known := map[string]string{"tags": "tag", "commits": "commit"}[kind]
	if !known {
		return notFound()
	}
	if !hex40.MatchString(name) {
		return refusal(http.StatusUnprocessableEntity, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
	}
	if s.git("cat-file", "-t", name) != want {
		return notFound()
	}
	if want == "commit" {
		return of(http.StatusOK, map[string]any{"sha": name})
	}
	fields := strings.Fields(s.git("cat-file", "tag", name))
	return of(http.StatusOK, map[string]any{"sha": name, "tag": fields[5], "object": map[string]any{"sha": fields[1], "type": fields[3]}})
}

func (s *Server) ref(name string) answer {
	for _, row := range s.lines("for-each-ref", "--format=%(refname) %(objectname) %(objecttype)", "refs/"+name) {
		f := strings.Fields(row)
		if f[0] == "refs/"+name {
			return of(http.StatusOK, map[string]any{"ref": f[0], "object": map[string]any{"sha": f[1], "type": f[2]}})
		}
	}
	return notFound()
}

// pullsWith answers GET /commits/{sha}/pulls.
func (s *Server) pullsWith(ref string) answer {
	sha := s.resolve(ref)
	if sha == "" {
		return refusal(http.StatusUnprocessableEntity, "No commit found for SHA: "+ref)
	}
	found := []any{}
	for _, p := range s.pulls {
		if p.MergedAs != sha && !slices.Contains(p.Commits, sha) && !slices.Contains(p.Contains, sha) {
			continue
		}
		pull := map[string]any{
			"number": p.Number, "state": "open", "merged_at": nil, "merge_commit_sha": sha,
			"base": map[string]any{"ref": "main", "repo": map[string]any{"full_name": Owner + "/" + Name}},
		}
		if p.MergedAs != "" {
			pull["state"], pull["merged_at"], pull["merge_commit_sha"] = "closed", "2026-03-01T12:00:00Z", p.MergedAs
		}
		found = append(found, pull)
	}
	return of(http.StatusOK, found)
}

// commitsOf answers GET /pulls/{number}/commits: 250 at most.
func (s *Server) commitsOf(number string, req *http.Request) answer {
	for _, p := range s.pulls {
		if strconv.Itoa(p.Number) == number {
			known := p.Commits[:min(len(p.Commits), 250)]
			from, to, link := page(req, len(known), 30)
			return paged(s.commits(known[from:to]...), link)
		}
	}
	return notFound()
}
