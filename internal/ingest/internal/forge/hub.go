package forge

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// hub is what GitHub sends, and Gitea, which took its form over. Whether it is a push or a release shows from what is there: the header that
// says so is covered by no signature.
type hub struct {
	Ref          string   `json:"ref"`
	After        string   `json:"after"`
	Commits      []Commit `json:"commits"`
	TotalCommits int      `json:"total_commits"`
	Repository   *struct {
		FullName      string `json:"full_name"`
		HTMLURL       string `json:"html_url"`
		DefaultBranch string `json:"default_branch"`
		PushedAt      any    `json:"pushed_at"`
	} `json:"repository"`
	Action  string `json:"action"`
	Release *struct {
		TagName     string `json:"tag_name"`
		Target      string `json:"target_commitish"`
		PublishedAt string `json:"published_at"`
		Draft       bool   `json:"draft"`
	} `json:"release"`
}

// most is how many commits GitHub lists of a push.
const most = 2048

// ReadHub reads what GitHub and Gitea send. What is neither a push nor a release that was published tells nothing that counts.
func ReadHub(source string, body []byte) ([]ingest.Report, error) {
	m, err := ingest.Decode[hub](body)
	if err != nil || m.Repository == nil {
		return nil, err
	}
	r := Repository{
		Source: source, Name: m.Repository.FullName, Address: m.Repository.HTMLURL, Branch: m.Repository.DefaultBranch,
		NameField: "repository.full_name", AfterField: "after",
	}
	switch {
	case m.Release != nil && m.Action == "published" && !m.Release.Draft:
		at, err := ingest.When("release.published_at", m.Release.PublishedAt)
		if err != nil || at.IsZero() {
			return nil, err
		}
		return Released(r, m.Release.TagName, m.Release.Target, at)
	case m.Release == nil && m.Ref != "" && m.After != "":
		at, err := instant(m.Repository.PushedAt)
		if err != nil {
			return nil, err
		}
		whole := len(m.Commits) < most && len(m.Commits) >= m.TotalCommits
		return Pushed(r, Push{Ref: m.Ref, After: m.After, Commits: m.Commits, Whole: whole, At: at})
	}
	return nil, nil
}

// instant is a time that GitHub writes as seconds since 1970 in one place and as a text in another.
func instant(value any) (time.Time, error) {
	const field = "repository.pushed_at"
	switch value := value.(type) {
	case string:
		return ingest.When(field, value)
	case int64:
		return ingest.Within(field, time.Unix(value, 0))
	}
	return time.Time{}, nil
}
