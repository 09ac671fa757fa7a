package porttest

import (
	"net/http"
	"strings"
)

// Document is a scorecard, by blueprint/scorecards/identifier, or a page, by pages/identifier; nil if there is none.
func (s *Server) Document(path string) Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.documents[path])
}

// PutDocument gives the portal a scorecard or a page, by a path as that of Document.
func (s *Server) PutDocument(path string, d Document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.documents[path] = clone(d)
}

// answerDocument keeps scorecards and pages as they come: GET of one or all, POST, and PUT of one. Port answers {"ok":true,"scorecard":{...}}, and
// of pages {"ok":true,"page":{...}}; to the creation of a page only {"ok":true,"identifier":"..."}.
func (s *Server) answerDocument(c call) (answer, *Problem) {
	folder, kind, rest := "pages", "page", c.path[2:]
	if c.path[1] == "blueprints" {
		if _, there := s.blueprints[c.path[2]]; !there {
			return answer{}, notFound("Blueprint", c.path[2])
		}
		folder, kind, rest = c.path[2]+"/scorecards", "scorecard", c.path[4:]
	}
	if len(rest) == 0 {
		return s.answerFolder(c, folder, kind)
	}
	known, there := s.documents[folder+"/"+rest[0]]
	switch {
	case !there:
		return answer{}, notFound(kind, rest[0])
	case c.method == http.MethodGet:
		return ok(Document{"ok": true, kind: known})
	}
	var d Document
	if problem := c.decode(&d); problem != nil {
		return answer{}, problem
	}
	s.documents[folder+"/"+rest[0]] = d
	return ok(Document{"ok": true, kind: d})
}

func (s *Server) answerFolder(c call, folder, kind string) (answer, *Problem) {
	if c.method == http.MethodGet {
		all := []Document{}
		for path, d := range s.documents {
			if strings.HasPrefix(path, folder+"/") {
				all = append(all, d)
			}
		}
		return ok(Document{"ok": true, kind + "s": all})
	}
	var d Document
	if problem := c.decode(&d); problem != nil {
		return answer{}, problem
	}
	identifier, _ := d["identifier"].(string)
	if !named(entityName, identifier, 100) {
		return answer{}, invalid("identifier must match the pattern")
	}
	if _, taken := s.documents[folder+"/"+identifier]; taken {
		return answer{}, &Problem{http.StatusConflict, "identifier_taken", "it already exists"}
	}
	s.documents[folder+"/"+identifier] = d
	return created(Document{"ok": true, "identifier": identifier, kind: d})
}
