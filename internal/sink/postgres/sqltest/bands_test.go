package sqltest_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// scale is the bands of one metric, in SQL and in Go.
type scale struct {
	function string
	edges    func(fourkeys.Thresholds) fourkeys.Scale
	summary  func(*float64) fourkeys.Summary
	band     func(fourkeys.Bands) fourkeys.Band
}

func scales() []scale {
	return []scale{
		{
			"dora_band_frequency", func(t fourkeys.Thresholds) fourkeys.Scale { return t.Frequency },
			func(v *float64) fourkeys.Summary {
				return fourkeys.Summary{Services: 1, Frequency: fourkeys.Frequency{FollowedSeconds: 30 * 24 * hour, PerWeek: v}}
			},
			func(b fourkeys.Bands) fourkeys.Band { return b.Frequency },
		},
		{
			"dora_band_lead_time", func(t fourkeys.Thresholds) fourkeys.Scale { return t.LeadTime },
			func(v *float64) fourkeys.Summary { return fourkeys.Summary{LeadTime: fourkeys.Durations{P50: v}} },
			func(b fourkeys.Bands) fourkeys.Band { return b.LeadTime },
		},
		{
			"dora_band_change_failure_rate", func(t fourkeys.Thresholds) fourkeys.Scale { return t.ChangeFailureRate },
			func(v *float64) fourkeys.Summary {
				return fourkeys.Summary{ChangeFailureRate: fourkeys.Ratio{Value: v}}
			},
			func(b fourkeys.Bands) fourkeys.Band { return b.ChangeFailureRate },
		},
		{
			"dora_band_recovery", func(t fourkeys.Thresholds) fourkeys.Scale { return t.Recovery },
			func(v *float64) fourkeys.Summary {
				return fourkeys.Summary{Recovery: fourkeys.Recovery{Durations: fourkeys.Durations{P50: v}}}
			},
			func(b fourkeys.Bands) fourkeys.Band { return b.Recovery },
		},
	}
}

// around are the edges of a scale, what is just beside them, and what is far away.
func around(s fourkeys.Scale) []*float64 {
	values := []*float64{nil, new(0.0), new(1e12)}
	for _, edge := range []float64{s.Elite.Value, s.High.Value, s.Medium.Value} {
		values = append(values, new(edge), new(math.Nextafter(edge, 0)), new(math.Nextafter(edge, math.MaxFloat64)))
	}
	return values
}

func TestBandsHaveTheEdgesThatGoHas(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	for preset, thresholds := range map[string]fourkeys.Thresholds{"Port": fourkeys.Port(), "Guide": fourkeys.Guide()} {
		for _, s := range scales() {
			for _, value := range around(s.edges(thresholds)) {
				got := query[struct{ Band *string }](t, t, db, "SELECT "+s.function+"($1, $2) AS band", value, preset)
				alike(t, band(s.band(thresholds.Bands(s.summary(value)))), got[0].Band)
			}
		}
	}
	got := query[struct{ Default, Unknown *string }](t, t, db, `SELECT dora_band_frequency(7) AS default, dora_band_frequency(7, 'guide') AS unknown`)
	alike(t, "Elite", *got[0].Default) // Port: at least 7; Guide: more than 7
	alike(t, (*string)(nil), got[0].Unknown)
}

func TestTheOverallBandIsTheWorst(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	rapid.Check(t, func(r *rapid.T) {
		var bands [4]*string
		worst := map[string]int{"": 0, "Elite": 1, "High": 2, "Medium": 3, "Low": 4}
		want := ""
		for i := range bands {
			b := rapid.SampledFrom([]string{"", "Elite", "High", "Medium", "Low"}).Draw(r, "band")
			bands[i] = band(fourkeys.Band(b))
			if worst[b] > worst[want] {
				want = b
			}
		}
		got := query[struct{ Band *string }](t, r, db, "SELECT dora_band_overall($1, $2, $3, $4) AS band", bands[0], bands[1], bands[2], bands[3])
		alike(r, band(fourkeys.Band(want)), got[0].Band)
	})
}
