package doctor

import (
	"fmt"
	"slices"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// longUnseen is after which Argo CD should have looked at an Application: it does every few minutes.
const longUnseen = time.Hour

// running are the checks of what is observed: Applications, images, commits.
func running() []Check {
	subjects := []Part{PartTargets, PartApplications, PartRollouts}
	return []Check{
		{"observation-gap", "Was somebody watching all the time?", Warning, []Part{PartTargets}, observationGap},
		{"commits-unresolved", "Can commits be found?", Problem, []Part{PartTargets}, commitsUnresolved},
		{"image-without-commit", "Do images tell their commits?", Warning, subjects, imageWithoutCommit},
		{"image-latest", "Does a new version have a new tag?", Problem, subjects, imageLatest},
		{"application-without-health", "Does Argo CD tell how Applications are?", Problem, subjects, applicationWithoutHealth},
		{"application-not-reconciled", "Does Argo CD look at Applications?", Problem, subjects, applicationNotReconciled},
		{"history-limit-zero", "Does Argo CD keep a history?", Warning, subjects, historyLimitZero},
	}
}

var observationGap = condition(dorav1alpha1.ConditionIncomplete, "its figures lack something (%s)", func(reason string) string {
	if reason == dorav1alpha1.ReasonClusterNotFound {
		return "correct clusters in the target's spec, or let the controller there keep its ledger in the same PostgreSQL database"
	}
	return "what nobody saw cannot be brought back: keep the controller running, and raise revisionHistoryLimit of the Applications to bridge longer gaps"
})

var commitsUnresolved = condition(dorav1alpha1.ConditionCommitsUnresolved, "commits cannot be found (%s), so lead times are missing", resolve)

func resolve(reason string) string {
	return or(unresolved[reason], "docs/doratarget.md says what to do about "+reason)
}

// unresolved, by the reasons that docs/doratarget.md lists, are what is to be done about the reasons why commits are waited for.
var unresolved = map[string]string{ //nolint:gosec // sentences, no credentials
	"Unreachable":        "see whether the controller reaches that host: name resolution, network policies, HTTPS_PROXY, ca.crt in the Secret of spec.source",
	"RateLimited":        "wait, or let spec.source.secretRef name a token or a GitHub App, which may ask more often",
	"CredentialsRefused": "renew the token in the Secret of spec.source.secretRef, or add the host to spec.source.hosts",
	"RepositoryNotFound": "correct the repository that spec.source names, or let the token of spec.source.secretRef read it",
	"AddressNotAllowed":  "add its network to allowNetworks of the Helm chart, if that address is meant",
	"SecretNotUsable":    "create the Secret that spec.source names, let the controller read it, or correct its keys",
	"SourceNotUsable":    "correct spec.source: as it is it can never work",
}

// those finds, for each target that follows something, the selected objects that are wrong, and tells them in one finding.
func (s *Snapshot) those(what, mend string, wrong func(*dorav1alpha1.DoraTarget, *Subject) bool) (found []Finding) {
	for _, t := range s.following() {
		var names []string
		for _, o := range s.selected(t) {
			if wrong(t, &o) {
				names = append(names, o.Kind+" "+o.Namespace+"/"+o.Name)
			}
		}
		if len(names) > 0 {
			found = append(found, Finding{Object: objectOf(t), Wrong: fmt.Sprintf("%s: %s", what, some(names)), Mend: mend})
		}
	}
	return found
}

// counted are the images that make up a version for a target.
func counted(t *dorav1alpha1.DoraTarget, o *Subject) []string {
	matches := func(globs []dorav1alpha1.ImageGlob, image string) bool {
		return slices.ContainsFunc(globs, func(g dorav1alpha1.ImageGlob) bool { return dora.GlobImage(string(g), image) })
	}
	return slices.DeleteFunc(slices.Clone(o.Images), func(image string) bool {
		include := t.Spec.Images.Include
		return len(include) > 0 && !matches(include, image) || matches(t.Spec.Images.Exclude, image)
	})
}

func imageWithoutCommit(s *Snapshot) []Finding {
	return s.those("the tags of their images carry no commit",
		"put the commit's SHA into the tag (docs/lead-time.md), or say where it is by spec.source.tagPattern; "+
			"without it the image's label or a git tag has to tell, else there is no lead time", func(t *dorav1alpha1.DoraTarget, o *Subject) bool {
			images := counted(t, o)
			if t.Spec.Source == nil || len(images) == 0 {
				return false
			}
			pattern, err := dora.ParseTagPattern(t.Spec.Source.TagPattern)
			return err == nil && !slices.ContainsFunc(images, func(image string) bool {
				_, tag, _ := cutImage(image)
				return pattern.Commit(tag) != ""
			})
		})
}

func imageLatest(s *Snapshot) []Finding {
	return s.those("their images have no tag, or latest, so that a new version looks like the one before", "give each build a tag of its own, or use digests",
		func(t *dorav1alpha1.DoraTarget, o *Subject) bool {
			images := counted(t, o)
			return len(images) > 0 && !slices.ContainsFunc(images, func(image string) bool {
				_, tag, digest := cutImage(image)
				return digest != "" || tag != "" && tag != "latest"
			})
		})
}

func applicationWithoutHealth(s *Snapshot) []Finding {
	return s.those("Argo CD tells no health of them, or not since when, so that no deployment gets a verdict",
		"look at the Application in Argo CD; since when it is Healthy is told from Argo CD 2.14 on", func(_ *dorav1alpha1.DoraTarget, o *Subject) bool {
			return o.Kind == "Application" && !o.ReconciledAt.IsZero() && (o.Health == "" || !o.HealthTimed)
		})
}

func applicationNotReconciled(s *Snapshot) []Finding {
	return s.those("Argo CD has not looked at them for an hour, or ever", "see whether Argo CD's application controller runs, and watches their namespace",
		func(_ *dorav1alpha1.DoraTarget, o *Subject) bool {
			return o.Kind == "Application" && s.Now.Sub(later(o.ReconciledAt, o.CreatedAt)) > longUnseen
		})
}

func historyLimitZero(s *Snapshot) []Finding {
	return s.those("revisionHistoryLimit is 0, so what happens while the controller does not run cannot be told", "leave revisionHistoryLimit out, or raise it",
		func(_ *dorav1alpha1.DoraTarget, o *Subject) bool { return o.Kind == "Application" && o.NoHistory })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
