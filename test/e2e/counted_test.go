//go:build e2e

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// statement is what somebody says about a deployment: which version, how it went, and whether it was a rollback.
type statement struct {
	// version is its name, or several, if a commit is told that holds several images.
	version           string
	success, rollback bool
	// key is what two statements have in common if they are about the same deployment, such as the commit.
	key string
}

func (s statement) String() string {
	text := s.version + map[bool]string{true: " succeeded", false: " failed"}[s.success]
	if s.rollback {
		text += " (rollback)"
	}
	return text
}

// about tells whether the statement is about that version.
func (s statement) about(version string) bool {
	return slices.Contains(strings.Fields(s.version), version)
}

// tells whether the statement tells this truth. Of an attempt that was aborted it is enough to say that it failed.
func (s statement) tells(truth statement) bool {
	return s.about(truth.version) && s.success == truth.success && (s.rollback == truth.rollback || !truth.success)
}

// truth is what a story's lines say: the deployments in their order, and what may be said besides, because it is true too or nobody knows better.
type truth struct {
	deployments, besides []statement
	// incidents are failures that no deployment caused.
	incidents int
}

func truthOf(lines []string) truth {
	var t truth
	var last statement
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case words[0] == "degraded" && len(words) > 2 && words[1] == "by":
			if t.succeeded(words[2]) {
				t.besides = append(t.besides, statement{version: words[2]})
			}
		case words[0] == "degraded":
			t.incidents++
		case words[0] == "recovered":
			if !last.success && !last.rollback && last.version != "" {
				t.besides = append(t.besides, statement{version: last.version, success: true})
			}
		case words[1] == "unknown":
			t.besides = append(t.besides, statement{version: words[2]}, statement{version: words[2], success: true})
		default:
			last = deploymentOf(line, words)
			t.deployments = append(t.deployments, last)
		}
	}
	return t
}

func (t truth) succeeded(version string) bool {
	return slices.Contains(t.deployments, statement{version: version, success: true})
}

func deploymentOf(line string, words []string) statement {
	s := statement{version: words[2], success: words[1] == "succeeded", rollback: words[1] == "rolled_back"}
	if s.rollback {
		s.success = strings.Contains(line, ", "+s.version+" runs")
	}
	return s
}

// counted are the verdicts on what was said of one story.
type counted struct{ right, missed, duplicate, wrong int }

func (c counted) String() string { return fmt.Sprintf("%d / %d / %d", c.missed, c.duplicate, c.wrong) }

func (c counted) plus(other counted) counted {
	return counted{c.right + other.right, c.missed + other.missed, c.duplicate + other.duplicate, c.wrong + other.wrong}
}

// judge holds what was said, in its order, against the truth in its order, so that as much as possible is right. It also tells each verdict in words.
func judge(t truth, said []statement) (counted, []string) {
	right := inOrder(t.deployments, said)
	besides, incidents := slices.Clone(t.besides), t.incidents
	var c counted
	var verdicts []string
	for i, s := range said {
		var verdict string
		same := func(other statement) bool {
			return s.about(other.version) && other.success == s.success && !s.rollback
		}
		at := slices.IndexFunc(besides, same)
		switch {
		case right[i]:
			c.right++
			verdict = "right"
		case at >= 0:
			besides = slices.Delete(besides, at, at+1)
			verdict = "true, but no deployment"
		case !s.success && !s.rollback && incidents > 0:
			incidents--
			verdict = "true, but no deployment"
		case repeats(said, right, s):
			c.duplicate++
			verdict = "duplicate"
		default:
			c.wrong++
			verdict = "false"
		}
		verdicts = append(verdicts, s.String()+": "+verdict)
	}
	c.missed = len(t.deployments) - c.right
	return c, verdicts
}

// repeats tells whether a statement that is right says the same of the same.
func repeats(said []statement, right []bool, s statement) bool {
	for i, other := range said {
		if right[i] && other == s {
			return true
		}
	}
	return false
}

// inOrder marks the statements of a longest common subsequence of truths and statements.
func inOrder(truths, said []statement) []bool {
	best := make([][]int, len(said)+1)
	for i := range best {
		best[i] = make([]int, len(truths)+1)
	}
	for i, s := range slices.Backward(said) {
		for j := len(truths) - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if s.tells(truths[j]) {
				best[i][j] = max(best[i][j], best[i+1][j+1]+1)
			}
		}
	}
	right := make([]bool, len(said))
	for i, j := 0, 0; i < len(said) && j < len(truths); {
		switch {
		case said[i].tells(truths[j]) && best[i][j] == best[i+1][j+1]+1:
			right[i] = true
			i, j = i+1, j+1
		case best[i][j] == best[i][j+1]:
			j++
		default:
			i++
		}
	}
	return right
}

// TestCounted holds the counting itself against examples counted by hand.
func TestCounted(t *testing.T) {
	said := func(version string, success, rollback bool, key string) statement {
		return statement{version: version, success: success, rollback: rollback, key: key}
	}
	for name, c := range map[string]struct {
		truth []string
		said  []statement
		want  counted
	}{
		"all right": {
			[]string{"deploy succeeded v1 after none", "deploy failed v2 after v1", "degraded by v2", "deploy succeeded v3 after v1, unplanned", "recovered"},
			[]statement{said("v1", true, false, "a"), said("v2", false, false, "b"), said("v3", true, false, "c")},
			counted{right: 3},
		},
		"nothing said": {[]string{"deploy succeeded v1 after none"}, nil, counted{missed: 1}},
		"said twice of the same commit, and again of a commit that deployed nothing": {
			[]string{"deploy succeeded v1 after none"},
			[]statement{said("v1", true, false, "a"), said("v1", true, false, "a"), said("v1", true, false, "b")},
			counted{right: 1, duplicate: 1, wrong: 1},
		},
		"a success is no failure": {
			[]string{"deploy failed v2 after v1"}, []statement{said("v2", true, false, "b")}, counted{missed: 1, wrong: 1},
		},
		"a rollback told as a fresh success": {
			[]string{"deploy succeeded v1 after none", "deploy succeeded v2 after v1", "deploy rolled_back v1 after v2, v1 runs"},
			[]statement{said("v1", true, false, "a"), said("v2", true, false, "b"), said("v1", true, false, "c")},
			counted{right: 2, missed: 1, wrong: 1},
		},
		"a rollback told as such": {
			[]string{"deploy rolled_back v1 after v2, v1 runs"}, []statement{said("v1", true, true, "c")}, counted{right: 1},
		},
		"an aborted version told as a failure": {
			[]string{"deploy rolled_back v2 after v1, exposed, v1 runs"}, []statement{said("v2", false, false, "b")}, counted{right: 1},
		},
		"a success that was told before the failure that came first, and then not again": {
			[]string{"deploy rolled_back v2 after v1, exposed, v1 runs", "deploy succeeded v2 after v1, unplanned"},
			[]statement{said("v2", true, false, "b"), said("v2", false, false, "b")},
			counted{right: 1, missed: 1, wrong: 1},
		},
		"a version that degraded after its success, and one that recovered by itself": {
			[]string{"deploy succeeded v1 after none", "degraded by v1", "recovered", "deploy failed v2 after v1", "degraded by v2", "recovered"},
			[]statement{said("v1", true, false, "a"), said("v1", false, false, "a"), said("v2", false, false, "b"), said("v2", true, false, "b")},
			counted{right: 2},
		},
		"of two containers one was deployed first, then the other": {
			[]string{"deploy succeeded v1 after none", "deploy succeeded proxy-2 after proxy-1", "deploy succeeded v2 after v1"},
			[]statement{said("v1 proxy-1", true, false, "a"), said("v1 proxy-2", true, false, "b"), said("v2 proxy-2", true, false, "c")},
			counted{right: 3},
		},
		"an incident": {
			[]string{"deploy succeeded v1 after none", "degraded", "recovered"},
			[]statement{said("v1", true, false, "a"), said("v1", false, false, "a"), said("v1", false, false, "a")},
			counted{right: 1, wrong: 1},
		},
		"an outcome that nobody knows": {
			[]string{"deploy unknown v2 after v1 [history]"}, []statement{said("v2", true, false, "b")}, counted{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := judge(truthOf(c.truth), c.said)
			NewWithT(t).Expect(got).To(Equal(c.want))
		})
	}
}
