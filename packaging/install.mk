# Manual pages, completion and `make install`: as distributions expect it (DESTDIR, PREFIX).
## install       programs, units, manual pages, completion, example (DESTDIR, PREFIX=/usr/local)
## man           the manual pages, into build/man (scdoc)
## check-packages  build the Debian packages, lintian, install, run and purge them in a folder (root; minutes)
## check-docker    run the Dockerfile's commands, and the programs of its image, in a folder (root; minutes)
UNITDIR    ?= $(PREFIX)/lib/systemd/system
MAN        := $(B)/man/lockstep.1 $(B)/man/lockstep.conf.5 $(patsubst packaging/man/%.scd,$(B)/man/%,\
              $(wildcard packaging/man/*.8.scd))
COMPLETION := $(B)/completion/lockstep $(B)/completion/_lockstep

$(B)/man/%: packaging/man/%.scd
	@mkdir -p $(@D)
	scdoc < $< > $@.new && mv $@.new $@

$(B)/man/lockstep.1: packaging/man/lockstep.1.scd $(B)/bin/lockstep
	@mkdir -p $(@D)
	$(B)/bin/lockstep reference lockstep.1 > $@.tables
	sed -e '/^@TABLES@/r $@.tables' -e '/^@TABLES@/d' $< | scdoc > $@.new && mv $@.new $@

$(B)/man/lockstep.conf.5: $(B)/bin/lockstep
	@mkdir -p $(@D)
	$(B)/bin/lockstep reference lockstep.conf.5 | scdoc > $@.new && mv $@.new $@

$(B)/completion/lockstep: $(B)/bin/lockstep
	@mkdir -p $(@D)
	$(B)/bin/lockstep reference bash > $@.new && mv $@.new $@

$(B)/completion/_lockstep: $(B)/bin/lockstep
	@mkdir -p $(@D)
	$(B)/bin/lockstep reference zsh > $@.new && mv $@.new $@

man: $(MAN)

check-packages: deps
	@packaging/install-deps debhelper debootstrap dpkg-dev lintian
	packaging/check-packages

check-docker:
	@packaging/install-deps debootstrap python3
	packaging/check-docker

install: all $(MAN) $(COMPLETION)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/man/man1 share/man/man5 share/man/man8 \
	  share/bash-completion/completions share/zsh/vendor-completions share/doc/lockstep) $(DESTDIR)$(UNITDIR)
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(filter %.1,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(filter %.5,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 $(filter %.8,$(MAN)) $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(B)/completion/lockstep $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lockstep
	for p in capture transform apply; do \
	  ln -sf lockstep $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lockstep-$$p; done
	install -m 644 $(B)/completion/_lockstep $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_lockstep
	install -m 644 packaging/example/lockstep.conf packaging/systemd/README.md $(DESTDIR)$(PREFIX)/share/doc/lockstep
	for u in packaging/systemd/*.service; do \
	  sed 's|@BINDIR@|$(PREFIX)/bin|' $$u > $(DESTDIR)$(UNITDIR)/$${u##*/} || exit 1; done

.PHONY: man install check-packages check-docker
