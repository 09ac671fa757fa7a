// Package gitlabtest is a GitLab server for tests: the part of its REST API that package gitlab asks, over a real git repository.
//
// It answers as https://docs.gitlab.com/api and the source of GitLab and Gitaly say: a project's path is one URL-encoded segment; a
// revision is resolved by git, names before digits; lists have at most 100 entries a page, the headers X-Next-Page and Link, and for
// commits no X-Total; lists of commits within a path are those of git log --follow. What GitLab leaves open it makes awkward: commits come
// in no order worth relying on.
package gitlabtest

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

// Server is a GitLab server with one project. Its fields may be set before the first request.
type Server struct {
	// URL is the project's address.
	URL string
	// Token, if it is set, is the one that reads the project, which is then private.
	Token string
	// Intercept, if it is set, may answer a request itself, and says whether it did.
	Intercept func(http.ResponseWriter, *http.Request) bool
	// Unfollowed is whether the feature flag remove_file_commit_history_following is set.
	Unfollowed bool

	tb      testing.TB
	repo    *committest.Repo
	project string

	mutex    sync.Mutex
	requests []MergeRequest
	asked    []*http.Request
}

// MergeRequest is a merge request of the project.
type MergeRequest struct {
	IID                             int64
	State                           string
	SquashCommitSHA, MergeCommitSHA string
	// Commits are the full SHAs of the branch's commits, which the repository has, though no branch may have them any more.
	Commits []string
}

// New starts a server whose project is the repository.
func New(tb testing.TB, repo *committest.Repo, project string) *Server {
	tb.Helper()
	s := &Server{tb: tb, repo: repo, project: project}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	s.URL = server.URL + "/" + project
	return s
}

// Add adds a merge request.
func (s *Server) Add(m MergeRequest) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.requests = append(s.requests, m)
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
	w.Header().Set("Content-Type", "application/json")
	if s.Intercept != nil && s.Intercept(w, r) {
		return
	}
	a := &answer{Server: s, Asker: s.repo.Ask(r.Context(), s.tb), w: w, r: r}
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), "/api/v4/projects/")
	if !isAPI || r.Method != http.MethodGet {
		a.write(http.StatusNotFound, map[string]string{"error": "404 Not Found"})
		return
	}
	var segments []string
	for segment := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			a.write(http.StatusBadRequest, map[string]string{"error": "400 Bad Request"})
			return
		}
		segments = append(segments, text)
	}
	a.project(segments[0], segments[1:])
}

func (a *answer) project(id string, rest []string) {
	offered, signedIn := a.r.Header.Get("Private-Token"), false
	if bearer, ok := strings.CutPrefix(a.r.Header.Get("Authorization"), "Bearer "); ok {
		offered = bearer
	}
	if offered != "" {
		if offered != a.Token {
			a.say(http.StatusUnauthorized, "401 Unauthorized")
			return
		}
		signedIn = true
	}
	if id != a.Server.project || a.Token != "" && !signedIn {
		a.say(http.StatusNotFound, "404 Project Not Found")
		return
	}
	a.route(rest)
}

func (a *answer) route(rest []string) {
	shape := slices.Clone(rest)
	for i, at := range map[string]int{"repository/commits/": 2, "repository/tags/": 2, "merge_requests/": 1} {
		if len(rest) > at && strings.Join(rest[:at], "/")+"/" == i {
			shape[at] = ":"
		}
	}
	switch strings.Join(shape, "/") {
	case "":
		a.write(http.StatusOK, map[string]any{"id": 1, "path_with_namespace": a.Server.project})
	case "repository/commits":
		a.commits()
	case "repository/commits/:":
		a.commit(rest[2])
	case "repository/commits/:/merge_requests":
		a.mergeRequests(rest[2])
	case "repository/tags/:":
		a.tag(rest[2])
	case "repository/merge_base":
		a.mergeBase()
	case "merge_requests/:/commits":
		a.mergeRequestCommits(rest[1])
	default:
		a.write(http.StatusNotFound, map[string]string{"error": "404 Not Found"})
	}
}

func (a *answer) commit(revision string) {
	found := a.Resolve(revision)
	if found == "" {
		a.say(http.StatusNotFound, "404 Commit Not Found")
		return
	}
	a.write(http.StatusOK, a.show(found)[0])
}

func (a *answer) tag(name string) {
	ref := "refs/tags/" + name
	if !a.OK("show-ref", "--verify", "--quiet", ref) {
		a.say(http.StatusNotFound, "404 Tag Not Found")
		return
	}
	tag := map[string]any{"name": name, "target": a.Git("rev-parse", ref), "commit": nil}
	if found := a.Resolve(ref); found != "" {
		tag["commit"] = a.show(found)[0]
	}
	a.write(http.StatusOK, tag)
}

func (a *answer) mergeBase() {
	refs := a.r.URL.Query()["refs[]"]
	if len(refs) < 2 {
		a.say(http.StatusBadRequest, "400 Bad request - Provide at least 2 refs")
		return
	}
	var unknown []string
	for _, ref := range refs {
		if a.Resolve(ref) == "" {
			unknown = append(unknown, ref)
		}
	}
	if len(unknown) > 0 {
		a.say(http.StatusBadRequest, "Could not find ref: "+strings.Join(unknown, ", "))
		return
	}
	if !a.OK(append([]string{"merge-base"}, refs...)...) {
		a.say(http.StatusNotFound, "404 Merge Base Not Found")
		return
	}
	a.write(http.StatusOK, a.show(strings.Fields(a.Git(append([]string{"merge-base"}, refs...)...))[0])[0])
}

// commits lists a revision range as Gitaly's FindCommits does.
func (a *answer) commits() {
	page, size := a.page()
	args := []string{"--literal-pathspecs", "log", "--format=%H"}
	path, offset := a.r.URL.Query().Get("path"), (page-1)*size
	if path != "" && !a.Unfollowed {
		args = append(args, "--max-count="+strconv.Itoa(offset+size), "--follow")
	} else {
		args = append(args, "--max-count="+strconv.Itoa(size), "--skip="+strconv.Itoa(offset))
		offset = 0
	}
	args = append(args, a.r.URL.Query().Get("ref_name"))
	if path != "" {
		args = append(args, "--", path)
	}
	var found []string
	if a.OK(args...) { // of what it cannot resolve GitLab lists nothing
		found = strings.Fields(a.Git(args...))
	}
	found = found[min(offset, len(found)):]
	a.paginate(page, size, len(found) == size)
	slices.Reverse(found)
	a.write(http.StatusOK, a.show(found...))
}

func (a *answer) mergeRequests(revision string) {
	found := a.Resolve(revision)
	if found == "" {
		a.say(http.StatusNotFound, "404 Commit Not Found")
		return
	}
	list := []map[string]any{}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, m := range a.requests {
		if m.SquashCommitSHA == found || m.MergeCommitSHA == found || slices.Contains(m.Commits, found) {
			list = append(list, map[string]any{
				"iid": m.IID, "state": m.State, "squash_commit_sha": orNull(m.SquashCommitSHA), "merge_commit_sha": orNull(m.MergeCommitSHA),
			})
		}
	}
	a.write(http.StatusOK, list)
}

// mergeRequestCommits are kept in GitLab's database, without their parents.
func (a *answer) mergeRequestCommits(iid string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, m := range a.requests {
		if strconv.FormatInt(m.IID, 10) != iid {
			continue
		}
		page, size := a.page()
		end := min(page*size, len(m.Commits))
		a.paginate(page, size, end < len(m.Commits))
		a.w.Header().Set("X-Total", strconv.Itoa(len(m.Commits)))
		list := a.show(m.Commits[min((page-1)*size, end):end]...)
		for _, c := range list {
			c["parent_ids"] = []string{}
		}
		a.write(http.StatusOK, list)
		return
	}
	a.say(http.StatusNotFound, "404 Not found")
}

func (a *answer) page() (page, size int) {
	page, _ = strconv.Atoi(a.r.URL.Query().Get("page"))
	size, _ = strconv.Atoi(a.r.URL.Query().Get("per_page"))
	if size <= 0 {
		size = 20
	}
	return max(page, 1), min(size, 100)
}

func (a *answer) paginate(page, size int, more bool) {
	h := a.w.Header()
	h.Set("X-Page", strconv.Itoa(page))
	h.Set("X-Per-Page", strconv.Itoa(size))
	h.Set("X-Next-Page", "")
	if !more {
		return
	}
	next := *a.r.URL
	query := next.Query()
	query.Set("page", strconv.Itoa(page+1))
	next.RawQuery = query.Encode()
	h.Set("X-Next-Page", strconv.Itoa(page+1))
	h.Set("Link", fmt.Sprintf("<http://%s%s>; rel=%q", a.r.Host, next.String(), "next"))
}

// show is what GitLab says about commits.
func (a *answer) show(shas ...string) []map[string]any {
	list := make([]map[string]any, 0, len(shas))
	if len(shas) == 0 {
		return list
	}
	args := append([]string{"show", "--no-patch", "--format=%H%x00%P%x00%at%x00%ct%x00%s%x1e"}, shas...)
	for record := range strings.SplitSeq(strings.TrimSuffix(a.Git(args...), "\x1e"), "\x1e") {
		f := strings.Split(strings.TrimSpace(record), "\x00")
		list = append(list, map[string]any{
			"id": f[0], "short_id": f[0][:8], "parent_ids": strings.Fields(f[1]), "title": f[4], "message": f[4],
			"author_name": "Ada", "author_email": "ada@example.com", "authored_date": a.stamp(f[2]),
			"committer_name": "Ada", "committer_email": "ada@example.com", "committed_date": a.stamp(f[3]), "created_at": a.stamp(f[3]),
		})
	}
	return list
}

// stamp writes a time as GitLab does, in a zone that is not UTC.
func (a *answer) stamp(seconds string) string {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		a.tb.Errorf("git's time %q: %v", seconds, err)
	}
	return time.Unix(n, 0).In(time.FixedZone("", 2*60*60)).Format("2006-01-02T15:04:05.000-07:00")
}

func (a *answer) say(status int, message string) {
	a.write(status, map[string]string{"message": message})
}

func (a *answer) write(status int, body any) {
	a.w.WriteHeader(status)
	if err := json.NewEncoder(a.w).Encode(body); err != nil && a.r.Context().Err() == nil {
		a.tb.Errorf("%s: %v", a.r.URL, err)
	}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
