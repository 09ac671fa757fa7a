// Package report tells the five metrics of some services over a time, week by week, with the deployments and failures they rest on, as a
// table, JSON, CSV, Markdown, or one HTML page.
//
// A Report is made by New from events alone, without a clock, a cluster or a store, by the formulas of package fourkeys; so its figures are
// those of the controller for the same events and window. What is not known is absent (– for people, null or empty for programs) and
// never 0, and each figure stands beside the number of deployments or failures that it rests on.
//
// The HTML page is whole in itself: it asks for nothing, runs no script, and says so to the browser by a Content-Security-Policy that
// allows its own style sheet alone, by its hash. Everything in it that came from a cluster goes through html/template, and becomes a
// link only if it is an https or http address. Shapes and words tell what colours tell, too.
package report
