package incident_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/incident"
)

// Stories are told in minutes since noon. Messages come an hour after noon, unless they say when.
var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

type message struct {
	incident.Message

	came time.Time
}

func opened(minutes float64) message {
	return message{incident.Message{OpenedAt: at(minutes)}, at(60)}
}

func reopened(minutes float64) message {
	return message{incident.Message{OpenedAt: at(minutes), Reopened: true}, at(60)}
}

func resolved(minutes float64) message {
	return message{incident.Message{ResolvedAt: at(minutes)}, at(60)}
}

func whole(from, to float64) message {
	return message{incident.Message{OpenedAt: at(from), ResolvedAt: at(to)}, at(60)}
}

// during is a message that comes at another time.
func (m message) during(minutes float64) message {
	m.came = at(minutes)
	return m
}

func untimed(minutes float64) message { return message{incident.Message{}, at(minutes)} }

func note(minutes float64) message {
	return message{incident.Message{Note: true, Title: "a note"}, at(minutes)}
}

func tell(messages ...message) (incident.State, []string) {
	var s incident.State
	var told []string
	for _, m := range messages {
		var steps []incident.Step
		s, steps = s.Hear(m.Message, m.came)
		for _, step := range steps {
			what := "opens"
			if step.Resolved {
				what = fmt.Sprintf("ends after %v", step.At.Sub(step.Since))
			}
			told = append(told, fmt.Sprintf("%d %s at %v", step.Opening, what, step.At.Sub(noon)))
		}
	}
	return s, told
}

func TestStories(t *testing.T) {
	for name, story := range map[string]struct {
		messages []message
		want     []string
	}{
		"opened and resolved":                                  {[]message{opened(1), resolved(9)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s"}},
		"one message tells both":                               {[]message{whole(1, 9)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s"}},
		"everything comes twice":                               {[]message{opened(1), opened(1), resolved(9), resolved(9), opened(1)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s"}},
		"the resolution comes first, and waits":                {[]message{resolved(9), opened(1)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s"}},
		"the resolution that comes first tells the opening":    {[]message{whole(1, 9), opened(1)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s"}},
		"a resolution alone is nothing":                        {[]message{resolved(9), resolved(9)}, nil},
		"it is open when nobody says otherwise":                {[]message{opened(1), note(70), opened(2)}, []string{"1 opens at 1m0s"}},
		"a message without a time opens it when it comes":      {[]message{untimed(30), untimed(31), resolved(40)}, []string{"1 opens at 30m0s", "1 ends after 10m0s at 40m0s"}},
		"a note that comes first opens nothing":                {[]message{note(30), opened(1), note(31), resolved(40), note(41)}, []string{"1 opens at 1m0s", "1 ends after 39m0s at 40m0s"}},
		"notes alone are nothing":                              {[]message{note(30), resolved(40), note(41)}, nil},
		"reopened":                                             {[]message{opened(1), resolved(9), reopened(20), resolved(25)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s", "2 ends after 5m0s at 25m0s"}},
		"opened after the end is opened again":                 {[]message{opened(1), resolved(9), opened(20)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s"}},
		"reopened before the resolution was told":              {[]message{opened(1), reopened(20), resolved(9)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s"}},
		"reopened before the end is still open":                {[]message{opened(1), reopened(20), resolved(30)}, []string{"1 opens at 1m0s", "1 ends after 29m0s at 30m0s"}},
		"the second resolution comes before the reopening":     {[]message{opened(1), resolved(9), resolved(25), reopened(20)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s", "2 ends after 5m0s at 25m0s"}},
		"the first resolution again, after the reopening":      {[]message{opened(1), resolved(9), reopened(20), resolved(9)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s"}},
		"the reopening is the first that is told":              {[]message{reopened(20), resolved(25)}, []string{"1 opens at 20m0s", "1 ends after 5m0s at 25m0s"}},
		"what ended before the reopening that is told first":   {[]message{resolved(9), reopened(20)}, []string{"1 opens at 20m0s"}},
		"a resolution that was repeated later does not reopen": {[]message{opened(1), resolved(9), resolved(12), reopened(20)}, []string{"1 opens at 1m0s", "1 ends after 8m0s at 9m0s", "2 opens at 20m0s"}},
		"times that run backwards are kept":                    {[]message{opened(9), resolved(1)}, []string{"1 opens at 9m0s", "1 ends after -8m0s at 1m0s"}},
		"a clock that is ahead is not believed":                {[]message{opened(64)}, []string{"1 opens at 1h0m0s"}},
		"what will happen happens now":                         {[]message{whole(1, 6000)}, []string{"1 opens at 1m0s", "1 ends after 59m0s at 1h0m0s"}},
		"a note that comes first does not hide the true times": {[]message{note(55), whole(10, 20)}, []string{"1 opens at 10m0s", "1 ends after 10m0s at 20m0s"}},
		// The sender's clock is two hours ahead.
		"a time zone that is ahead is one failure, told again and again": {[]message{
			opened(121).during(1), whole(121, 126).during(6), whole(121, 126).during(7), whole(121, 126).during(8), whole(121, 126).during(600),
		}, []string{"1 opens at 1m0s", "1 ends after 5m0s at 6m0s"}},
		"an opening that is corrected in a time zone that is ahead": {[]message{
			opened(121).during(1), whole(121, 126).during(6), whole(122, 126).during(7),
		}, []string{"1 opens at 1m0s", "1 ends after 5m0s at 6m0s"}},
		"reopened in a time zone that is ahead": {[]message{
			opened(121).during(1), whole(121, 126).during(6), reopened(140).during(20), opened(121).during(21), resolved(145).during(25), reopened(140).during(26),
		}, []string{"1 opens at 1m0s", "1 ends after 5m0s at 6m0s", "2 opens at 20m0s", "2 ends after 5m0s at 25m0s"}},
		"reopened after the clock was set right": {[]message{
			opened(121).during(1), resolved(126).during(6), opened(20).during(20), resolved(25).during(25),
		}, []string{"1 opens at 1m0s", "1 ends after 5m0s at 6m0s", "2 opens at 20m0s", "2 ends after 5m0s at 25m0s"}},
		"the resolution comes first in a time zone that is ahead": {[]message{
			resolved(126).during(6), opened(121).during(7), resolved(126).during(8), opened(121).during(200),
		}, []string{"1 opens at 6m0s", "1 ends after 0s at 6m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := tell(story.messages...); !slices.Equal(got, story.want) {
				t.Errorf("got %q, want %q", got, story.want)
			}
		})
	}
}

func TestSeverityTitleAndLinkAreThoseOfTheNewestMessageThatTellsThem(t *testing.T) {
	first, second, third := opened(1), note(61), resolved(9)
	second.Title = ""
	first.Severity, first.Title, first.Link = "P3", "slow", "https://incidents.example.com/1"
	second.Severity = "P1"
	third.Title = "down"
	got, _ := tell(first, second, third)
	got.OpenedAt, got.ResolvedAt = time.Time{}, time.Time{}
	if d := cmp.Diff(incident.State{Opening: 1, Severity: "P1", Title: "down", Link: "https://incidents.example.com/1"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// However messages of incidents with times of their own come, each opening has one beginning and one end at most, in turns.
func TestOpeningsAndEndsTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s incident.State
		last, open := 0, false
		for range rapid.IntRange(0, 30).Draw(t, "messages") {
			minutes := float64(rapid.IntRange(0, 100).Draw(t, "minutes"))
			m := rapid.SampledFrom([]message{opened(minutes), reopened(minutes), resolved(minutes), whole(minutes, minutes+5), untimed(minutes), note(minutes)}).Draw(t, "message")
			var steps []incident.Step
			s, steps = s.Hear(m.Message, at(60))
			for _, step := range steps {
				if step.Resolved != open || !open && step.Opening != last+1 || open && step.Opening != last {
					t.Fatalf("%+v after opening %d, which is open: %v", step, last, open)
				}
				last, open = step.Opening, !step.Resolved
			}
			if _, more := s.Hear(m.Message, at(60)); len(more) > 0 && m.Message != (incident.Message{}) {
				t.Fatalf("told again, %+v led to %+v", m, more)
			}
		}
		if last != s.Opening || open != (s.Opening > 0 && s.ResolvedAt.IsZero()) {
			t.Fatalf("the steps end with opening %d, the state is %+v", last, s)
		}
	})
}

// Whatever is told again, later and later, leads to nothing, by a clock that is ahead as by one that is right.
func TestTimesInTheFutureAreTheSameWhenTheyAreToldAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ahead := float64(rapid.IntRange(0, 300).Draw(t, "ahead"))
		all := []message{opened(ahead), whole(ahead, ahead+5), resolved(ahead + 5)}
		_, first := tell(all[0].during(0), all[1].during(5))
		told := []message{all[0].during(0), all[1].during(5)}
		for later := range rapid.IntRange(0, 20).Draw(t, "again") {
			told = append(told, rapid.SampledFrom(all).Draw(t, "message").during(float64(6+later*30)))
		}
		if _, got := tell(told...); !slices.Equal(got, first) {
			t.Fatalf("got %q, want %q", got, first)
		}
	})
}

func TestWhatIsRememberedOfTheFutureIsBounded(t *testing.T) {
	var all []message
	for minutes := range 100 {
		all = append(all, opened(float64(200+minutes)).during(float64(minutes)))
	}
	if s, _ := tell(all...); len(s.Ahead) != 16 {
		t.Errorf("%d times are remembered", len(s.Ahead))
	}
}

// Messages of an incident that opened once mean the same in any order.
func TestTheOrderOfAnOpeningAndItsEndDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := float64(rapid.IntRange(0, 50).Draw(t, "from"))
		to := from + float64(rapid.IntRange(0, 9).Draw(t, "length"))
		all := rapid.Permutation([]message{opened(from), opened(from), resolved(to), resolved(to), whole(from, to)}).Draw(t, "messages")
		_, got := tell(all...)
		_, want := tell(opened(from), resolved(to))
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
