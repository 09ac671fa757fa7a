// Command promrules reads rules as Prometheus does, with its own parser: the groups of a rule file come on standard input. It prints each
// alert with the series that its expression asks for, as one JSON object a line, and fails on what Prometheus would not load.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// An alert is what a rule says, and what it asks for.
type alert struct {
	Alert     string   `json:"alert"`
	Selectors []series `json:"selectors"`
}

// A series is a selector: the name of a metric, and the labels that are matched.
type series struct {
	Metric string   `json:"metric"`
	Labels []string `json:"labels"`
}

func main() {
	if err := read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(from io.Reader, to io.Writer) error {
	content, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	promql := parser.NewParser(parser.Options{})
	groups, failures := rulefmt.Parse(content, false, model.UTF8Validation, promql, slog.Default())
	if len(failures) > 0 {
		return fmt.Errorf("these are no rules: %w", failures[0])
	}
	out := json.NewEncoder(to)
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expression, err := promql.ParseExpr(rule.Expr)
			if err != nil {
				return fmt.Errorf("%s: %w", rule.Alert, err)
			}
			if err := out.Encode(alert{Alert: rule.Alert, Selectors: selectors(expression)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func selectors(expression parser.Expr) (found []series) {
	for _, matchers := range parser.ExtractSelectors(expression) {
		s := series{Labels: []string{}}
		for _, m := range matchers {
			if m.Name == labels.MetricName {
				s.Metric = m.Value
				continue
			}
			s.Labels = append(s.Labels, m.Name)
		}
		found = append(found, s)
	}
	return found
}
