"""On the box: tracking, rules, lifecycle, evidence, outbox, publisher, health, supervisor."""
