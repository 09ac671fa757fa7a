// Package giteatest is a Gitea server for tests: the part of its REST API that package gitea asks, over a real git repository.
//
// It answers as Gitea's swagger and source say: a revision is resolved by git, names before digits; lists have at most 50 entries a page,
// and the headers Link, X-Total-Count and X-HasMore; a folder that no commit changes is a 404; a commit to leave out that does not exist is
// a 500 without a message; a tag's commit is the object that the tag names. A Forgejo differs in its version alone.
package giteatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

// Server is a Gitea server with one repository. Its fields may be set before the first request.
type Server struct {
	// URL is the repository's address.
	URL string
	// Token, if it is set, is the one that reads the repository, which is then private.
	Token string
	// Version is what the server says of itself. Before 1.20 lists leave nothing out.
	Version string
	// PerPage is the most that the server gives at once.
	PerPage int
	// Repeats is whether later pages of a folder's list repeat commits, as they do in Gitea 1.21.
	Repeats bool
	// Intercept, if it is set, may answer a request itself, and says whether it did.
	Intercept func(http.ResponseWriter, *http.Request) bool

	tb         testing.TB
	repo       *committest.Repo
	repository string

	mutex sync.Mutex
	pulls []PullRequest
	asked []*http.Request
}

// PullRequest is a pull request of the repository.
type PullRequest struct {
	Number         int64
	Merged         bool
	MergeCommitSHA string
	// Commits are the full SHAs of the branch's commits, which the repository has, though no branch may have them any more.
	Commits []string
}

// New starts a server whose repository, owner/name, is the one given. There may be a path before that: the server is installed there.
func New(tb testing.TB, repo *committest.Repo, path string) *Server {
	tb.Helper()
	s := &Server{tb: tb, repo: repo, repository: path, Version: "1.24.6", PerPage: 50}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	s.URL = server.URL + "/" + path
	return s
}

// Add adds a pull request.
func (s *Server) Add(p PullRequest) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.pulls = append(s.pulls, p)
}

// Asked are the requests so far.
func (s *Server) Asked() []*http.Request {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.asked)
}

// answer is one request being answered.
type answer struct {
	*Server
	committest.Asker

	w http.ResponseWriter
	r *http.Request
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.asked = append(s.asked, r)
	s.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	if s.Intercept != nil && s.Intercept(w, r) {
		return
	}
	a := &answer{Server: s, Asker: s.repo.Ask(r.Context(), s.tb), w: w, r: r}
	parts := strings.Split(s.repository, "/")
	below := strings.Join(append([]string{""}, parts[:len(parts)-2]...), "/")
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), below+"/api/v1/")
	switch {
	case !isAPI || r.Method != http.MethodGet:
		http.NotFound(w, r)
	case !a.admitted():
		a.say(http.StatusUnauthorized, "invalid username, password or token")
	case path == "version":
		a.write(http.StatusOK, map[string]string{"version": s.Version})
	default:
		a.repositories(path, strings.Join(parts[len(parts)-2:], "/"))
	}
}

// admitted tells whether the token is the right one, if there is any.
func (a *answer) admitted() bool {
	kind, offered, _ := strings.Cut(a.r.Header.Get("Authorization"), " ")
	return kind == "" || (strings.EqualFold(kind, "token") || strings.EqualFold(kind, "bearer")) && offered == a.Token
}

func (a *answer) repositories(path, repository string) {
	rest, isIt := strings.CutPrefix(path+"/", "repos/"+repository+"/")
	if !isIt || a.Token != "" && a.r.Header.Get("Authorization") == "" {
		a.say(http.StatusNotFound, "The target couldn't be found.")
		return
	}
	var segments []string
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			http.Error(a.w, "Bad Request", http.StatusBadRequest)
			return
		}
		segments = append(segments, text)
	}
	a.route(segments)
}

func (a *answer) route(rest []string) {
	shape := slices.Clone(rest)
	for prefix, at := range map[string]int{"git/commits/": 2, "tags/": 1, "commits/": 1, "pulls/": 1} {
		if len(rest) > at && strings.Join(rest[:at], "/")+"/" == prefix {
			shape[at] = ":"
		}
	}
	switch strings.Join(shape, "/") {
	case "":
		a.write(http.StatusOK, map[string]any{"id": 1, "full_name": a.repository, "empty": !a.OK("rev-parse", "--verify", "--quiet", "HEAD")})
	case "git/commits/:":
		a.commit(rest[2])
	case "tags/:":
		a.tag(rest[1])
	case "commits":
		a.commits(a.r.URL.Query())
	case "commits/:/pull":
		a.pull(rest[1])
	case "pulls/:/commits":
		a.pullCommits(rest[1])
	default:
		http.NotFound(a.w, a.r)
	}
}

func (a *answer) commit(revision string) {
	if revision == "" || strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, " ~^:?*[\\") {
		a.say(http.StatusUnprocessableEntity, "no valid ref or sha: "+revision)
		return
	}
	found := a.Resolve(revision)
	if found == "" {
		a.say(http.StatusNotFound, "object does not exist [id: "+revision+", rel_path: ]")
		return
	}
	a.write(http.StatusOK, a.show(found)[0])
}

func (a *answer) tag(name string) {
	ref := "refs/tags/" + name
	if !a.OK("show-ref", "--verify", "--quiet", ref) {
		a.say(http.StatusNotFound, "tag doesn't exist: "+name)
		return
	}
	id := a.Git("rev-parse", ref)
	object := id
	if a.Git("cat-file", "-t", id) == "tag" {
		object = strings.Fields(a.Git("cat-file", "tag", id))[1]
	}
	a.write(http.StatusOK, map[string]any{"name": name, "id": id, "commit": map[string]any{"sha": object, "url": ""}})
}

// commits lists what a revision reaches and another does not. Of a folder's list the page size cannot be chosen.
func (a *answer) commits(query url.Values) {
	if !a.OK("rev-parse", "--verify", "--quiet", "HEAD") {
		a.say(http.StatusConflict, "Git Repository is empty.")
		return
	}
	head, not, path := query.Get("sha"), query.Get("not"), query.Get("path")
	if path == "" && a.Resolve(head) == "" {
		a.say(http.StatusNotFound, "object does not exist [id: "+head+", rel_path: ]")
		return
	}
	args := []string{head}
	if not != "" && !strings.HasPrefix(a.Version, "1.1") {
		args = append(args, "--not", not)
	}
	if path != "" {
		args = append(args, "--", path)
	}
	if !a.OK(append([]string{"rev-list", "--count"}, args...)...) {
		a.say(http.StatusInternalServerError, "")
		return
	}
	total, _ := strconv.Atoi(a.Git(append([]string{"rev-list", "--count"}, args...)...))
	if path != "" && total == 0 {
		a.say(http.StatusNotFound, "not found")
		return
	}
	page, size := a.page()
	if path != "" {
		size = a.PerPage
	}
	atMost := size
	if path != "" && a.Repeats {
		atMost = size * page
	}
	flags := []string{"rev-list", "--max-count=" + strconv.Itoa(atMost), "--skip=" + strconv.Itoa((page-1)*size)}
	found := strings.Fields(a.Git(append(flags, args...)...))
	a.paginate(page, size, total)
	a.write(http.StatusOK, a.show(found...))
}

func (a *answer) pull(sha string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, p := range a.pulls {
		if p.MergeCommitSHA == sha && p.Merged {
			a.write(http.StatusOK, map[string]any{"number": p.Number, "state": "closed", "merged": true, "merge_commit_sha": sha})
			return
		}
	}
	a.say(http.StatusNotFound, "pull request does not exist [id: 0, issue_id: 0]")
}

func (a *answer) pullCommits(number string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, p := range a.pulls {
		if strconv.FormatInt(p.Number, 10) != number {
			continue
		}
		page, size := a.page()
		end := min(page*size, len(p.Commits))
		a.paginate(page, size, len(p.Commits))
		a.write(http.StatusOK, a.show(p.Commits[min((page-1)*size, end):end]...))
		return
	}
	a.say(http.StatusNotFound, "not found")
}

func (a *answer) page() (page, size int) {
	page, _ = strconv.Atoi(a.r.URL.Query().Get("page"))
	size, _ = strconv.Atoi(a.r.URL.Query().Get("limit"))
	if size <= 0 {
		size = 30
	}
	return max(page, 1), min(size, a.PerPage)
}

func (a *answer) paginate(page, size, total int) {
	h, pages := a.w.Header(), (total+size-1)/size
	for name, value := range map[string]int{"X-Page": page, "X-PerPage": size, "X-Total": total, "X-PageCount": pages, "X-Total-Count": total} {
		h.Set(name, strconv.Itoa(value))
	}
	h.Set("X-Hasmore", strconv.FormatBool(page < pages))
	if page < pages {
		next := *a.r.URL
		query := next.Query()
		query.Set("page", strconv.Itoa(page+1))
		next.RawQuery = query.Encode()
		h.Set("Link", fmt.Sprintf("<http://%s%s>; rel=%q", a.r.Host, next.String(), "next"))
	}
}

// show is what Gitea says about commits. Nobody is to ask for what is costly.
func (a *answer) show(shas ...string) []map[string]any {
	list := make([]map[string]any, 0, len(shas))
	if len(shas) == 0 {
		return list
	}
	for _, costly := range []string{"stat", "verification", "files"} {
		if a.r.URL.Query().Get(costly) != "false" {
			a.tb.Errorf("%s: asks for %s of every commit", a.r.URL, costly)
		}
	}
	args := append([]string{"show", "--no-patch", "--format=%H%x00%P%x00%aI%x00%cI%x00%s%x1e"}, shas...)
	for record := range strings.SplitSeq(strings.TrimSuffix(a.Git(args...), "\x1e"), "\x1e") {
		f := strings.Split(strings.TrimSpace(record), "\x00")
		parents := []map[string]any{}
		for parent := range strings.FieldsSeq(f[1]) {
			parents = append(parents, map[string]any{"sha": parent, "url": "", "created": "0001-01-01T00:00:00Z"})
		}
		list = append(list, map[string]any{
			"sha": f[0], "url": "", "created": a.stamp(f[3]), "parents": parents, "author": nil, "committer": nil,
			"commit": map[string]any{
				"message":   f[4],
				"author":    map[string]string{"name": "Ada", "email": "ada@example.com", "date": a.stamp(f[2])},
				"committer": map[string]string{"name": "Ada", "email": "ada@example.com", "date": a.stamp(f[3])},
			},
		})
	}
	return list
}

// stamp writes a time as Gitea does, in a zone that is not UTC.
func (a *answer) stamp(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		a.tb.Errorf("git's time %q: %v", text, err)
	}
	return at.In(time.FixedZone("", 2*60*60)).Format(time.RFC3339)
}

func (a *answer) say(status int, message string) {
	a.write(status, map[string]any{"message": message, "url": "http://" + a.r.Host + "/api/swagger"})
}

func (a *answer) write(status int, body any) {
	a.w.WriteHeader(status)
	if err := json.NewEncoder(a.w).Encode(body); err != nil && a.r.Context().Err() == nil {
		a.tb.Errorf("%s: %v", a.r.URL, err)
	}
}
