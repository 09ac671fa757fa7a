package port

// Property is a property that the sink writes, as a blueprint describes it.
type Property struct {
	Name        string
	Title       string
	Type        string // of JSON schema: string, number, boolean or array
	Format      string // such as date-time
	Description string
	// Needed properties have to be there; others are left out where a blueprint has not got them.
	Needed bool
}

// The relations that the sink writes.
const (
	RelationService     = "service"     // of deployments and incidents, to the blueprint of services
	RelationPullRequest = "pullRequest" // of deployments, to that of pull requests, if one is named
	RelationDeployment  = "deployment"  // of incidents, to the deployment that caused them; left out where a blueprint has it not
)

// MergeCommit is the property by which a pull request is found. Port's integrations do not fill it by themselves: the
// mapping of GitHub's needs the line mergeCommitSha: .merge_commit_sha, and the blueprint the property.
const MergeCommit = "mergeCommitSha"

// The types of JSON schema that are used, and the format of times.
const (
	text   = "string"
	number = "number"
	truth  = "boolean"
	list   = "array"
	moment = "date-time"
)

// Properties that are named in several places: where something happened, and whether a deployment succeeded.
const (
	environmentName  = "environment"
	deploymentStatus = "deploymentStatus"
)

// DeploymentProperties are those of the blueprint of deployments. The needed ones are of Port's guide "Track DORA metrics".
func DeploymentProperties() []Property {
	return []Property{
		{"createdAt", "Deployment Time", text, moment, "When production had the outcome, by Argo's clock.", true},
		{environmentName, "Environment", text, "", "Where it was deployed.", true},
		{deploymentStatus, "Deployment Status", text, "", "Whether the deployment succeeded; empty if nobody can tell any more, or it is ignored.", true},
		{"leadTimeHours", "Lead Time (Hours)", number, "", "From the first commit that was delivered until it ran in production.", false},
		{"leadTimeSeconds", "Lead Time (Seconds)", number, "", "The same in seconds, where leadTimeHours is that of the pull request.", false},
		{"leadTimeUnknown", "Lead Time Unknown", text, "", "Why there is no lead time.", false},
		{"outcome", "Outcome", text, "", "succeeded, failed, rolled_back or unknown.", false},
		{"isRollback", "Rollback", truth, "", "Whether production went back to an earlier version.", false},
		{"unplanned", "Unplanned", truth, "", "Whether it was made because production was, or had been, broken: rework.", false},
		{"exposed", "Exposed", truth, "", "Of an attempt that was stopped, whether it had taken production traffic.", false},
		{"change", "Change", text, "", "What changed: image or config.", false},
		{"version", "Version", text, "", "The tag of the image that changed.", false},
		{"previousVersion", "Previous Version", text, "", "The version before it; empty if there was none, or it is not known.", false},
		{"images", "Images", list, "", "The images of the version.", false},
		{"commit", "Commit", text, "", "The commit of the version.", false},
		{"repository", "Repository", text, "", "Where the commit is.", false},
		{"commitCount", "Commits", number, "", "How many commits were delivered.", false},
		{"firstCommitAt", "First Commit", text, moment, "When the earliest of them was made.", false},
		{"startedAt", "Started", text, moment, "When the attempt started.", false},
		{"serviceName", "Service Name", text, "", "The service, also where the portal does not have it.", false},
		{"teamName", "Team Name", text, "", "The team that owns the service.", false},
		{"cluster", "Cluster", text, "", "The cluster that Argo CD runs in.", false},
		{"subject", "Subject", text, "", "The Application or Rollout, as kind namespace/name.", false},
		{"basis", "Basis", text, "", "What the verdict rests on: live, history, partial_sync or api.", false},
		{"reason", "Reason", text, "", "Why it ended so, in one word.", false},
		{"message", "Message", text, "", "Why it ended so, in a sentence.", false},
		{"mark", "Mark", text, "", "What people say of it: failure, not-a-failure or ignore.", false},
		{"markReason", "Mark Reason", text, "", "Why they say so.", false},
		{"markedBy", "Marked By", text, "", "Who says so.", false},
	}
}

// IncidentProperties are those of the blueprint of incidents. The needed ones are those that Port's guide "Track DORA metrics" reads of
// an incident.
func IncidentProperties() []Property {
	return []Property{
		{"createdAt", "Created At", text, moment, "When production degraded, by Argo's clock.", true},
		{"resolvedAt", "Incident Resolution Time", text, moment, "When production was whole again.", true},
		{"recoveryTime", "Time to Recovery", number, "", "The minutes between the two.", true},
		{"status", "Status", text, "", "open or resolved.", false},
		{environmentName, "Environment", text, "", "Where it happened.", false},
		{"isChangeFailure", "Change Failure", truth, "", "Whether a deployment caused it.", false},
		{"serviceName", "Service Name", text, "", "The service, also where the portal does not have it.", false},
		{"teamName", "Team Name", text, "", "The team that owns the service.", false},
		{"cluster", "Cluster", text, "", "The cluster that Argo CD runs in.", false},
		{"subject", "Subject", text, "", "The Application or Rollout, as kind namespace/name.", false},
		{"reason", "Reason", text, "", "What began or ended it, in one word.", false},
		{"message", "Message", text, "", "What began or ended it, in a sentence.", false},
		{"mark", "Mark", text, "", "What people say of it: not-a-failure and ignore take it out of all figures.", false},
		{"markReason", "Mark Reason", text, "", "Why they say so.", false},
		{"markedBy", "Marked By", text, "", "Who says so.", false},
	}
}

// ServiceProperties are the figures of the blueprint of services.
func ServiceProperties() []Property {
	return []Property{
		{"deployment_frequency", "Deployment Frequency", number, "", "Deployments per week.", true},
		{"deployment_frequency_tier", "Deployment Frequency Tier", text, "", "Elite, High, Medium or Low.", true},
		{"lead_time_for_changes", "Lead Time for Changes", number, "", "The median in hours.", true},
		{"lead_time_for_changes_tier", "Lead Time for Changes Tier", text, "", "Elite, High, Medium or Low.", true},
		{"change_failure_rate", "Change Failure Rate", number, "", "Failed attempts in percent of all.", true},
		{"change_failure_rate_tier", "Change Failure Rate Tier", text, "", "Elite, High, Medium or Low.", true},
		{"mean_time_to_recovery", "Time to Recovery", number, "", "The median in minutes.", true},
		{"mean_time_to_recovery_tier", "Time to Recovery Tier", text, "", "Elite, High, Medium or Low.", true},
		{"total_deployments", "Total Deployments", number, "", "Successful deployments in the window.", true},
		{"rework_rate", "Rework Rate", number, "", "Unplanned deployments in percent of all.", false},
	}
}

const trending = "Better, Worse or Same, against the window before."

// TeamProperties are the figures of the blueprint of teams.
func TeamProperties() []Property {
	return append(ServiceProperties(),
		Property{"services_count", "Services", number, "", "The services that are counted.", true},
		Property{"deployment_frequency_per_service", "Deployment Frequency per Service", number, "", "Deployments per week and service.", true},
		Property{"services_elite", "Elite Services", number, "", "Services whose lowest band is Elite.", false},
		Property{"services_high", "High Services", number, "", "Services whose lowest band is High.", false},
		Property{"services_medium", "Medium Services", number, "", "Services whose lowest band is Medium.", false},
		Property{"services_low", "Low Services", number, "", "Services whose lowest band is Low.", false},
		Property{"worst_services", "Worst Services", list, "", "The services below Elite, worst first, ten at most.", false},
		Property{"deployment_frequency_trend", "Deployment Frequency Trend", text, "", trending, false},
		Property{"lead_time_for_changes_trend", "Lead Time for Changes Trend", text, "", trending, false},
		Property{"change_failure_rate_trend", "Change Failure Rate Trend", text, "", trending, false},
		Property{"mean_time_to_recovery_trend", "Time to Recovery Trend", text, "", trending, false},
	)
}
