demo test check bench wheel lock: ; @./dev $@
.PHONY: demo test check bench wheel lock
