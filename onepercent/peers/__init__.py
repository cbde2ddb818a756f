"""Methods that the dual-branch model is measured against, one a file.

Importing this registers their networks, and CMTSSL as a stage of pre-training.
"""

from hsilib.pretraining.pretrain import register_pretext
from hsilib.registry import register_network
from onepercent.peers.cmtssl import JigsawPretext
from onepercent.peers.networks.a2s2k_resnet import A2S2KResNet
from onepercent.peers.networks.cnn_1d import Cnn1d
from onepercent.peers.networks.cnn_2d import Cnn2d
from onepercent.peers.networks.cnn_3d import Cnn3d
from onepercent.peers.networks.cnn_bilstm import CNNBiLSTM
from onepercent.peers.networks.dbda import DBDA
from onepercent.peers.networks.hybridsn import HybridSN
from onepercent.peers.networks.mhssmamba import MHSSMamba
from onepercent.peers.networks.pyformer import PyFormer
from onepercent.peers.networks.spectralformer import SpectralFormer
from onepercent.peers.networks.ssftt import SSFTT
from onepercent.peers.networks.ssrn import SSRN
from onepercent.peers.networks.wavemamba import WaveMamba
from onepercent.peers.whole_image.cegcn import CEGCN
from onepercent.peers.whole_image.freenet import FreeNet
from onepercent.peers.whole_image.ssdgl import SSDGL

PATCH_NETWORKS = (
    *(Cnn1d, Cnn2d, Cnn3d, HybridSN, SSRN, DBDA, A2S2KResNet),
    *(CNNBiLSTM, MHSSMamba, PyFormer, SpectralFormer, SSFTT, WaveMamba),
)
WHOLE_IMAGE_NETWORKS = (FreeNet, CEGCN, SSDGL)

for network in (*PATCH_NETWORKS, *WHOLE_IMAGE_NETWORKS):
    register_network(network)
register_pretext(JigsawPretext)
