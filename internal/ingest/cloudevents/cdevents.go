package cloudevents

import (
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// cdEvent is what is read of a CDEvent.
type cdEvent struct {
	Context struct {
		Timestamp string `json:"timestamp"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content struct {
			Environment reference `json:"environment"`
			Service     reference `json:"service"`
			Repository  reference `json:"repository"`
			ArtifactID  string    `json:"artifactId"`
			Description string    `json:"description"`
		} `json:"content"`
	} `json:"subject"`
	CustomData any `json:"customData"`
}

type reference struct {
	ID string `json:"id"`
}

// reader reads what an event tells of something that happened at a time; nil if that counts nothing.
type reader func(e *cdEvent, at time.Time) (*ingest.Report, error)

// readerOf is nil for a type that counts nothing. Its version does not matter: fields were added, and none of those that are read here has changed.
func readerOf(kind string) reader {
	subject, predicate, ok := typeOf(kind)
	if !ok {
		return nil
	}
	return map[string]reader{
		"service.deployed":   (*cdEvent).deployed,
		"service.upgraded":   (*cdEvent).deployed,
		"service.published":  (*cdEvent).deployed,
		"service.rolledback": (*cdEvent).rolledBack,
		"incident.detected":  (*cdEvent).detected,
		"incident.resolved":  (*cdEvent).resolved,
		"change.merged":      (*cdEvent).merged,
	}[subject+"."+predicate]
}

// typeOf takes apart dev.cdevents.SUBJECT.PREDICATE.VERSION.
func typeOf(kind string) (subject, predicate string, ok bool) {
	kind, ours := strings.CutPrefix(kind, "dev.cdevents.")
	words := strings.SplitN(kind, ".", 3)
	if !ours || len(words) < 3 {
		return "", "", false
	}
	return words[0], words[1], true
}

// report is what an event of a type that counts tells.
func (e *cdEvent) report(kind string, now time.Time) (*ingest.Report, error) {
	at, err := ingest.When("data.context.timestamp", e.Context.Timestamp)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return nil, &ingest.BadRequestError{Field: "data.context.timestamp", Mend: "must be there: it is when it happened"}
	}
	if _, err := ingest.Name("data.subject.id", e.Subject.ID); err != nil {
		return nil, err
	}
	if subject, _, _ := typeOf(kind); subject != "incident" { // whose times are bounded instead
		if err := ingest.Past("data.context.timestamp", at, now); err != nil {
			return nil, err
		}
	}
	return readerOf(kind)(e, at)
}

// deployed reads a deployment. One that did not succeed has no type in CDEvents: success in customData says so.
func (e *cdEvent) deployed(at time.Time) (*ingest.Report, error) {
	d := &ingest.Deployment{OccurredAt: at, Success: true}
	if success, ok := e.custom("success").(bool); ok {
		d.Success = success
	}
	d.Images, d.Version, d.Commit, d.Repository = artifact(e.Subject.Content.ArtifactID)
	for name, into := range map[string]*string{"commit_sha": &d.Commit, "repository": &d.Repository, "version": &d.Version} {
		if text := e.text(name); text != "" {
			if _, err := ingest.Name("data.customData."+name, text); err != nil {
				return nil, err
			}
			*into = text
		}
	}
	if d.Commit != "" && !commit.MatchString(d.Commit) {
		return nil, &ingest.BadRequestError{Field: "data.customData.commit_sha", Mend: "must be the id of a commit, 7 to 64 hexadecimal digits"}
	}
	d.Commit, d.Repository = strings.ToLower(d.Commit), ingest.Repository(d.Repository)
	for name, into := range map[string]*time.Time{"started_at": &d.StartedAt, "first_commit_ts": &d.FirstCommitAt} {
		read, err := ingest.When("data.customData."+name, e.text(name))
		if err != nil {
			return nil, err
		}
		if read.After(at) {
			return nil, &ingest.BadRequestError{Field: "data.customData." + name, Mend: "must not be after data.context.timestamp"}
		}
		*into = read
	}
	return &ingest.Report{Service: e.Subject.ID, Environment: e.Subject.Content.Environment.ID, Team: e.text("team"), Deployment: d}, nil
}

func (e *cdEvent) rolledBack(at time.Time) (*ingest.Report, error) {
	report, err := e.deployed(at)
	if err == nil {
		report.Deployment.IsRollback = true
	}
	return report, err
}

func (e *cdEvent) detected(at time.Time) (*ingest.Report, error) {
	report := e.incident()
	report.Incident.OpenedAt = at
	return report, nil
}

func (e *cdEvent) resolved(at time.Time) (*ingest.Report, error) {
	report := e.incident()
	report.Incident.ResolvedAt = at
	return report, nil
}

// incident is known by its subject, of which the source is a part where it is given.
func (e *cdEvent) incident() *ingest.Report {
	content := &e.Subject.Content
	id := e.Subject.ID
	if source, err := ingest.Name("data.subject.source", e.Subject.Source); err == nil {
		id = source + "#" + id
	}
	mentions := []string{content.Description, content.ArtifactID, e.text("commit_sha"), e.text("version")}
	return &ingest.Report{
		Service: content.Service.ID, Environment: content.Environment.ID, Team: e.text("team"),
		Incident: &ingest.Incident{ID: id, Title: content.Description, Severity: e.text("severity"), Link: e.text("link"), Mentions: mentions},
	}
}

// merged reads a change. CDEvents does not say of which commit; commit_sha in customData does.
func (e *cdEvent) merged(at time.Time) (*ingest.Report, error) {
	sha := e.text("commit_sha")
	if !commit.MatchString(sha) {
		return nil, nil // without its commit a change is found in no deployment
	}
	repository := e.Subject.Content.Repository.ID
	if _, err := ingest.Name("data.subject.content.repository.id", repository); err != nil {
		return nil, err
	}
	change := &ingest.Change{Commit: strings.ToLower(sha), Repository: ingest.Repository(repository), OccurredAt: at}
	return &ingest.Report{Service: path.Base(repository), Team: e.text("team"), Change: change}, nil
}

var commit = regexp.MustCompile(`^[0-9A-Fa-f]{7,64}$`)

// custom is what customData has under a name, and text that as a text.
func (e *cdEvent) custom(name string) any {
	all, ok := e.CustomData.(map[string]any)
	if !ok {
		return nil
	}
	return all[name]
}

func (e *cdEvent) text(name string) string {
	text, ok := e.custom(name).(string)
	if !ok {
		return ""
	}
	return text
}

// artifact reads a package URL: of an image its reference and its tag; of a repository on a code host its commit. Others tell nothing here.
func artifact(purl string) (images []string, version, sha, repository string) {
	read, err := packageurl.FromString(purl)
	if err != nil || len(purl) > ingest.MaxKey {
		return nil, "", "", ""
	}
	where := read.Qualifiers.Map()
	switch read.Type {
	case packageurl.TypeOCI, packageurl.TypeDocker:
		image, tag := where["repository_url"], where["tag"]
		if image == "" {
			image = strings.TrimPrefix(read.Namespace+"/"+read.Name, "/")
		}
		if tag != "" {
			image += ":" + tag
		}
		if strings.HasPrefix(read.Version, "sha256:") {
			image += "@" + read.Version
		}
		if _, err := ingest.Name("artifactId", image); err != nil {
			return nil, "", "", ""
		}
		return []string{image}, tag, "", ""
	case packageurl.TypeGithub, packageurl.TypeGitlab, packageurl.TypeBitbucket:
		if commit.MatchString(read.Version) {
			return nil, "", strings.ToLower(read.Version), read.Namespace + "/" + read.Name
		}
	}
	return nil, "", "", ""
}
