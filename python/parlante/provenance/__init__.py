"""What says that a picture was made by a machine: signed manifests and an invisible watermark.

By the EU's AI Act (art. 50(2)) pictures of people that a machine made have to carry a mark that
machines can read.

May import `media` and what that may.
"""

from parlante.provenance.manifest import Credentials as Credentials
from parlante.provenance.verifying import Provenance as Provenance
from parlante.provenance.verifying import detect as detect
from parlante.provenance.verifying import verify as verify
from parlante.provenance.watermark import Watermark as Watermark
