"""What an exchange keeps beside its log, so that a start need not replay all of it. The log alone decides."""
