"""Record what a pass read, exactly, and decide it again from that: nothing can be sent, and each answer is compared."""
