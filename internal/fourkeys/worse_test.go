package fourkeys_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// TestFalls, by the thresholds of Port, over windows of 30 days. Each service is told of the window before and of this one.
func TestFalls(t *testing.T) {
	before, now := fourkeys.Fleet{Services: map[fourkeys.Service]fourkeys.Summary{}}, fourkeys.Fleet{Services: map[fourkeys.Service]fourkeys.Summary{}}
	partly := func(s fourkeys.Summary) fourkeys.Summary {
		s.Frequency.FollowedSeconds = 29 * day
		return s
	}
	rare := func(s fourkeys.Summary) fourkeys.Summary {
		s.ChangeFailureRate.Whole = 4
		return s
	}
	for name, windows := range map[string][2]fourkeys.Summary{
		"rarer":                   {summary(new(7.0), nil, nil, nil), summary(new(6.9), nil, nil, nil)},
		"slower":                  {summary(new(2.0), new(1*day), nil, nil), summary(new(2.0), new(8*day), nil, nil)},
		"broken":                  {summary(new(7.0), nil, new(0.0), nil), summary(new(7.0), nil, new(0.5), new(2*hour))},
		"broken a little":         {summary(new(1.0), nil, new(0.0), nil), summary(new(1.0), nil, new(0.5), nil)},
		"worse in its band":       {summary(new(6.0), nil, nil, nil), summary(new(1.0), nil, nil, nil)},
		"better":                  {summary(new(0.0), nil, nil, nil), summary(new(7.0), nil, nil, nil)},
		"silent now":              {summary(new(7.0), nil, nil, nil), summary(nil, nil, nil, nil)},
		"silent before":           {summary(nil, nil, nil, nil), summary(new(0.0), nil, nil, nil)},
		"followed in part":        {partly(summary(new(7.0), nil, nil, nil)), summary(new(0.0), nil, nil, nil)},
		"followed in part, fails": {partly(summary(new(7.0), nil, new(0.0), nil)), summary(new(0.0), nil, new(0.25), nil)},
		"asked for commits since": {summary(new(7.0), nil, nil, nil), summary(new(7.0), new(60*day), nil, nil)},
		"fails, of four":          {summary(new(1.0), nil, new(0.0), nil), rare(summary(new(1.0), nil, new(0.25), new(48*hour)))},
		"slower, of four":         {summary(new(1.0), new(1*hour), nil, nil), rare(summary(new(1.0), new(60*day), nil, nil))},
		"rarer, of four":          {summary(new(1.0), nil, new(1.0), nil), rare(summary(new(0.9), nil, new(1.0), nil))},
		"no longer asked":         {summary(new(0.0), new(1*hour), nil, nil), summary(new(0.0), nil, nil, nil)},
	} {
		before.Services[fourkeys.Service{Name: name}], now.Services[fourkeys.Service{Name: name}] = windows[0], windows[1]
	}
	now.Services[fourkeys.Service{Name: "new"}] = summary(new(0.0), nil, nil, nil)
	var got []string
	for _, f := range now.Falls(before, fourkeys.Port(), 30*24*time.Hour) {
		got = append(got, f.Service.Name+": "+string(f.From)+" to "+string(f.To)+" by "+string(f.Metric))
	}
	want := []string{
		"broken: Elite to Low by ChangeFailureRate", "broken a little: High to Low by ChangeFailureRate",
		"followed in part, fails: Elite to Medium by ChangeFailureRate", "rarer, of four: High to Medium by DeploymentFrequency", "slower: High to Medium by LeadTime",
		"rarer: Elite to High by DeploymentFrequency",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWorsened, by more than a quarter.
func TestWorsened(t *testing.T) {
	for _, test := range []struct {
		what    string
		was, is *float64
		want    bool
	}{
		{"neither is known", nil, nil, false},
		{"it was not known", nil, new(1.0), false},
		{"it is not known", new(1.0), nil, false},
		{"equal", new(4.0), new(4.0), false},
		{"shorter", new(4.0), new(1.0), false},
		{"a quarter longer", new(4.0), new(5.0), false},
		{"longer still", new(4.0), new(5.1), true},
		{"from nothing", new(0.0), new(1.0), true},
		{"nothing, still", new(0.0), new(0.0), false},
	} {
		before, now := summary(test.was, test.was, test.was, test.was), summary(test.is, test.is, test.is, test.is)
		var want []fourkeys.Median
		if test.want {
			want = []fourkeys.Median{{fourkeys.MetricLeadTime, *test.was, *test.is}, {fourkeys.MetricRecovery, *test.was, *test.is}}
		}
		if diff := cmp.Diff(want, fourkeys.Worsened(&before, &now, 0.25)); diff != "" {
			t.Errorf("%s: %s", test.what, diff)
		}
	}
}

// TestMediansOfFewAttemptsDoNotWorsen: chance is no news.
func TestMediansOfFewAttemptsDoNotWorsen(t *testing.T) {
	before, now := summary(nil, new(1.0), nil, new(1.0)), summary(nil, new(9.0), nil, new(9.0))
	if len(fourkeys.Worsened(&before, &now, 0.25)) != 2 {
		t.Error("of five they do")
	}
	now.ChangeFailureRate.Whole = 4
	if got := fourkeys.Worsened(&before, &now, 0.25); len(got) > 0 {
		t.Errorf("of four: %+v", got)
	}
}
