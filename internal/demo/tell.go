package demo

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// Namespace is where the stories' Applications, and the demo's target, live.
const Namespace = "argocd"

// target selects the three services. What it leaves out has a default.
const target = `apiVersion: dora-controller.io/v1alpha1
kind: DoraTarget
metadata: {name: production, namespace: argocd}
spec:
  applications: {matchLabels: {env: prod}}
  source: {path: "{service}"}
`

// newTarget is the target; the repository of its source is the demo's own.
func newTarget(from *source) (*dorav1alpha1.DoraTarget, error) {
	t := &dorav1alpha1.DoraTarget{}
	if err := yaml.UnmarshalStrict([]byte(target), t); err != nil {
		return nil, fmt.Errorf("cannot read the demo's target: %w", err)
	}
	t.Spec.Source.Repository.URL = from.url
	return t, nil
}

// makeTarget creates the DoraTarget and waits until the controller has taken it up, since what runs before the following
// begins is no deployment.
func (s *stage) makeTarget(ctx context.Context) error {
	s.sayf("creating a DoraTarget for every Application with env=prod")
	t, err := newTarget(s.source)
	if err != nil {
		return err
	}
	if err := newWriter(s.api).ensureNamespace(ctx, Namespace); err != nil {
		return fmt.Errorf("cannot create namespace %s: %w", Namespace, err)
	}
	if err := s.api.Create(ctx, t); err != nil {
		return fmt.Errorf("cannot create the DoraTarget: %w", err)
	}
	return until(ctx, time.Minute, "the controller has not taken up the DoraTarget", func(ctx context.Context) (bool, error) {
		if err := s.api.Get(ctx, client.ObjectKeyFromObject(t), t); err != nil {
			return false, err
		}
		ready := meta.FindStatusCondition(t.Status.Conditions, dorav1alpha1.ConditionReady)
		return ready != nil && ready.Reason == dorav1alpha1.ReasonNothingSelected, nil
	})
}

// tellStories writes what was recorded, each line when its time has come.
func (s *stage) tellStories(ctx context.Context) error {
	lines, err := tell(s.Recordings, time.Now().Add(2*time.Second).Truncate(time.Second), s.source)
	if err != nil {
		return err
	}
	s.lines = lines
	last := lines[len(lines)-1].at
	s.sayf("telling three recorded stories, in %.0f s as they happened:", time.Until(last).Seconds())
	for i := range stories {
		fmt.Fprintf(s.Out, "    %-10s %s\n", stories[i].service, stories[i].title)
	}
	following, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- s.follow(following) }()
	err = s.write(ctx, lines)
	stop()
	if followErr := <-followed; err == nil {
		err = followErr
	}
	return err
}

func (s *stage) write(ctx context.Context, lines []line) error {
	w := newWriter(s.api)
	for i := range lines {
		if err := sleepUntil(ctx, lines[i].at); err != nil {
			return err
		}
		if err := w.write(ctx, &lines[i]); err != nil {
			return err
		}
	}
	return nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
