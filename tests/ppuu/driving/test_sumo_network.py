"""SUMO's network file of a road without branches."""

from xml.etree.ElementTree import tostring

from ppuu.driving.sumo_network import SumoEdge, SumoJunction, SumoLane, network_file

EXPECTED = (
    '<net version="1.16">'
    '<edge id="a" from="start" to="middle">'
    '<lane id="a_0" index="0" speed="30.0" length="10" width="3.5" shape="0,0 10,0"'
    ' changeLeft="emergency" />'
    '<lane id="a_1" index="1" speed="30.0" length="10" width="3.5" shape="0,0 10,0" /></edge>'
    '<edge id="b" from="middle" to="end">'
    '<lane id="b_0" index="0" speed="30.0" length="10" width="3.5" shape="0,0 10,0" /></edge>'
    '<junction id="start" x="0" y="0" intLanes="" shape="" type="dead_end" incLanes="" />'
    '<junction id="middle" x="10" y="0" intLanes="" shape="" type="priority" incLanes="a_0 a_1">'
    '<request index="0" response="0" foes="0" cont="0" /></junction>'
    '<junction id="end" x="20" y="0" intLanes="" shape="" type="dead_end" incLanes="b_0" />'
    '<connection from="a" to="b" fromLane="1" toLane="0" dir="s" state="M" /></net>'
)


def test_two_edges_of_which_one_lane_continues():
    lane = SumoLane(speed="30.0", length="10", width="3.5", shape="0,0 10,0")
    ends = SumoLane("30.0", "10", "3.5", "0,0 10,0", {"changeLeft": "emergency"})
    edges = [
        SumoEdge("a", [ends, lane], SumoJunction("start", "0", "0"), [(1, 0)], requests=1),
        SumoEdge("b", [lane], SumoJunction("middle", "10", "0"), [], requests=0),
    ]
    assert tostring(network_file(edges, SumoJunction("end", "20", "0"))).decode() == EXPECTED
