## manual        docs/ as a site, into build/manual (mkdocs, from PyPI)
MKDOCS := 1.6.1

$(B)/mkdocs-$(MKDOCS)/bin/mkdocs:
	$(PYTHON) -m venv $(B)/mkdocs-$(MKDOCS)
	$(B)/mkdocs-$(MKDOCS)/bin/pip install --quiet --disable-pip-version-check mkdocs==$(MKDOCS)

manual: $(B)/mkdocs-$(MKDOCS)/bin/mkdocs
	$< build --quiet --site-dir $(abspath $(B)/manual)

.PHONY: manual
