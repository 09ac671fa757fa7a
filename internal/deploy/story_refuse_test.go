package deploy_test

import "testing"

// A story with a word that nobody knows must fail, or it would pass for what it does not say.
func TestStoriesRefuseWhatTheyDoNotKnow(t *testing.T) {
	passages := readPassages(t, "testdata/stories/passages.txt")
	for name, last := range map[string]string{
		"an unknown setting":                "Policy: patience=1s",
		"a duration that is none":           "Policy: degradedFor=soon",
		"a time that is none":               "25:00:00 wait",
		"a time before the line above":      "09:00:00 wait",
		"an unknown expectation":            "=> celebrated",
		"an expectation without a time":     "=> deploy succeeded version=b previous=a",
		"an expectation of an odd field":    "=> recovered at=10:00:00 colour=red",
		"a rollback that may mean either":   "=> deploy rolled_back version=b previous=a at=10:00:00",
		"an unknown fact":                   "10:00:01 weather fine",
		"an unknown fact of a Rollout":      "10:00:01 web: weather True",
		"an unknown word after a fact":      "10:00:01 health Healthy very",
		"an unknown status":                 "10:00:01 sync Somewhat",
		"an unknown kind of request":        "10:00:01 request nobody",
		"an unknown result of a row":        "10:00:01 rows Deployment/web:perhaps",
		"an unknown label":                  "10:00:01 labels colour=red",
		"a subject that is not there":       "10:00:01 cart: health Healthy",
		"a ReplicaSet without its revision": "10:00:01 web: replicaset b",
		"pods of an unknown ReplicaSet":     "10:00:01 web: pods b 4/4",
		"nothing between two bars":          "10:00:01 health Healthy | | sync Synced",
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{policy: defaultPolicy()}
			if err := s.read("10:00:00 an Application with Rollout web runs a", 1, passages); err != nil {
				t.Fatal(err)
			}
			if err := s.read(last, 2, passages); err != nil {
				return
			}
			if _, problems := s.play(newWorld(s.policy)); len(problems) == 0 {
				t.Errorf("%q was taken for something", last)
			}
		})
	}
}
