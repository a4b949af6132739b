# The command that the contract tests drive the writer with.
$(B)/bin-test/writer-probe: $(B)/obj/tests/contract/writer_probe.o $(B)/lib/libapply.a $(B)/lib/libcommon.a
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LIBS_ALL)

writer-probe: $(B)/bin-test/writer-probe
.PHONY: writer-probe
