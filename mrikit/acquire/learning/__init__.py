"""Learning a policy: the run, its loop, and one learner in each file."""
