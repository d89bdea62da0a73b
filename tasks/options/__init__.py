"""Options of potentials and pretexts, apart from their code, which takes seconds to import (TorchMD-Net, warp)."""
