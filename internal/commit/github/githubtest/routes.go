package githubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// answer finds the endpoint of a request. Limits come first, then credentials, then the repository, as on GitHub.
func (s *Server) answer(req *http.Request) answer {
	if a := s.limited(); a != nil {
		return *a
	}
	path, ok := strings.CutPrefix(req.URL.EscapedPath(), prefix)
	if !ok || req.UserAgent() == "" {
		return notFound()
	}
	who, denied := s.authenticate(req)
	if denied != nil {
		return *denied
	}
	parts := strings.Split(path, "/")
	if req.Method == http.MethodPost {
		return s.post(who, parts)
	}
	if req.Method != http.MethodGet {
		return notFound()
	}
	if path == "repos/"+s.former || strings.HasPrefix(path, "repos/"+s.former+"/") {
		return s.moved(req, strings.TrimPrefix(path, "repos/"+s.former))
	}
	rest := inRepository(parts)
	if rest == nil || who == anonymous && s.private {
		return notFound()
	}
	if who == ownApp {
		if len(rest) == 1 && rest[0] == "installation" {
			return s.installation()
		}
		return refusal(http.StatusUnauthorized, "Requires authentication")
	}
	return tagged(req, s.get(rest, req))
}

func (s *Server) post(who credentials, parts []string) answer {
	if len(parts) == 4 && parts[0] == "app" && parts[1] == "installations" && parts[3] == "access_tokens" {
		if who != ownApp {
			return refusal(http.StatusUnauthorized, "A JSON web token could not be decoded")
		}
		return s.accessToken(parts[2])
	}
	return notFound()
}

// inRepository is the rest of the path below the repository's name or number; nil if it is another's. GitHub does not mind the case of
// names.
func inRepository(parts []string) []string {
	switch {
	case len(parts) >= 3 && parts[0] == "repos" && strings.EqualFold(parts[1], Owner) && strings.EqualFold(parts[2], Name):
		return parts[3:]
	case len(parts) >= 2 && parts[0] == "repositories" && parts[1] == strconv.Itoa(ID):
		return parts[2:]
	}
	return nil
}

// moved is GitHub's answer for a former name: the same question, at the repository's number.
func (s *Server) moved(req *http.Request, rest string) answer {
	to := s.http.URL + prefix + "repositories/" + strconv.Itoa(ID) + rest
	if req.URL.RawQuery != "" {
		to += "?" + req.URL.RawQuery
	}
	a := of(http.StatusMovedPermanently, map[string]any{"message": "Moved Permanently", "url": to, "documentation_url": "https://docs.github.com/rest"})
	a.set("Location", to)
	return a
}

// limited refuses by the primary limit (403, with nothing remaining) or the secondary one.
func (s *Server) limited() *answer {
	if s.limit != nil && s.limit.remaining == 0 {
		return refused(http.StatusForbidden, "API rate limit exceeded for user ID 1.")
	}
	if s.secondary == nil {
		return nil
	}
	a := of(s.secondary.status, map[string]any{
		"message":           "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		"documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	})
	if s.secondary.retryAfter != "" {
		a.set("Retry-After", s.secondary.retryAfter)
	}
	return &a
}

// tagged gives an answer its ETag, and answers "not modified" to who has it already. GitHub's ETags are weak.
func tagged(req *http.Request, a answer) answer {
	if a.status != http.StatusOK {
		return a
	}
	sum := sha256.Sum256(append([]byte(req.Header.Get("Accept")), a.body...))
	etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	if req.Header.Get("If-None-Match") == etag {
		a = answer{status: http.StatusNotModified}
	}
	a.set("ETag", etag)
	return a
}

// get answers for what is in the repository.
func (s *Server) get(rest []string, req *http.Request) answer {
	if len(rest) == 0 {
		return of(http.StatusOK, map[string]any{"id": ID, "name": Name, "full_name": Owner + "/" + Name, "private": s.private, "default_branch": "main"})
	}
	s.filled = s.filled || s.git("rev-list", "--all", "--max-count=1") != ""
	if !s.filled {
		return refusal(http.StatusConflict, "Git Repository is empty.")
	}
	tail, err := url.PathUnescape(strings.Join(rest[1:], "/"))
	if err != nil {
		return refusal(http.StatusBadRequest, "Bad Request")
	}
	switch last := rest[len(rest)-1]; {
	case rest[0] == "commits" && len(rest) == 1:
		return s.list(req)
	case rest[0] == "commits" && last == "pulls" && len(rest) == 3:
		return s.pullsWith(rest[1])
	case rest[0] == "commits":
		return s.commit(tail, req)
	case rest[0] == "compare" && len(rest) == 2:
		return s.compare(tail, req)
	case rest[0] == "contents":
		return s.contents(tail, req)
	case rest[0] == "pulls" && last == "commits" && len(rest) == 3:
		return s.commitsOf(rest[1], req)
	case rest[0] == "git" && len(rest) > 2:
		return s.object(rest[1], strings.TrimPrefix(tail, rest[1]+"/"))
	}
	return notFound()
}

// page is the part of a list that a request asks for, and whether more comes. GitHub takes more than 100 for 100.
func page(req *http.Request, total, without int) (from, to int, link string) {
	q := req.URL.Query()
	size, number := min(positive(q.Get("per_page"), without), 100), positive(q.Get("page"), 1)
	from, to = min((number-1)*size, total), min(number*size, total)
	if to < total {
		q.Set("page", strconv.Itoa(number+1))
		link = fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, req.Host, req.URL.Path, q.Encode())
	}
	return from, to, link
}

func positive(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func paged(value any, link string) answer {
	a := of(http.StatusOK, value)
	if link != "" {
		a.set("Link", link)
	}
	return a
}
